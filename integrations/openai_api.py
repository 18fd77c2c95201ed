"""Agents behind OpenAI's API: chat programs and SDKs that speak to it talk to an agent as to a model.

An ASGI application with ``/v1/models``, ``/v1/chat/completions`` and ``/v1/responses``, whole or streamed. What an
agent does on the way comes as reasoning. A conversation that continues is recognised by its messages, or by
``previous_response_id``: its agent still has its memory and its variables.
"""

import asyncio
import hmac
import json
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from cloche.agent.base import MultiStepAgent
from cloche.agent.errors import AgentSuspended
from cloche.agent.events import AgentEvent, CodeStarted, PlanMade, Printed, RunEnded, RunResult, StepEnded
from cloche.agent.messages import ImagePart
from cloche.agent.values import answer_text, error_text, fenced
from cloche.runtime.bridge.protocol import is_list
from cloche.runtime.errors import ConfigurationError

__all__ = ["openai_app"]

_Json = dict[str, Any]

MAX_BODY: Final = 32 << 20
"""Bytes of a request, images included."""
_MAX_ITEMS: Final = 2_000
_AGREES: Final = frozenset({"approve", "approved", "yes", "ok"})


def openai_app(
    agents: Mapping[str, MultiStepAgent], *, keys: Iterable[str] = (), conversations: int = 64, runs: int = 16
) -> Starlette:
    """Return an ASGI application that offers these agents as models, by their names.

    ``keys``  are the API keys that are accepted; without any, every client is.
    ``conversations``  whose agents are kept, with their sessions; of an older one the agent gets the text only.
    ``runs``  at the same time; one more is refused with status 429.

    Each conversation works with a copy of its agent. Where a tool waits for approval, the reply says so, and the user's
    next message decides: "approve", or else the reason for the denial. A client that goes away ends its run.

    Raises ConfigurationError without agents, or for numbers below 1.
    """
    if not agents:
        raise ConfigurationError("agents", "name at least one: openai_app({'helper': agent})")
    for name, number in (("conversations", conversations), ("runs", runs)):
        if number < 1:
            raise ConfigurationError(name, f"expected at least 1, got {number}")
    api = _API(dict(agents), [key.encode() for key in keys], _Conversations(conversations), runs)
    routes = [
        Route("/v1/models", api.models),
        Route("/v1/models/{name}", api.model),
        Route("/v1/chat/completions", api.chat, methods=["POST"]),
        Route("/v1/responses", api.respond, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _refusal, Exception: _failure})


@dataclass
class _Turn:
    """What a client said: the conversation so far, as (role, text), the last text being the task."""

    history: list[tuple[str, str]]
    images: list[ImagePart]

    @property
    def task(self) -> str:
        return self.history[-1][1]

    def task_with_history(self) -> str:
        """Return the task for an agent that was not there before."""
        if len(self.history) == 1:
            return self.task
        before = "\n\n".join(f"{role}: {text}" for role, text in self.history[:-1])
        return f"The conversation so far:\n\n{before}\n\nThe user's new message:\n\n{self.task}"


@dataclass
class _Answer:
    """What came of a run: ``text`` for the user. ``waits_for`` are calls that the next message decides on."""

    text: str
    result: RunResult
    waits_for: list[int] = field(default_factory=list[int])


_Keep = Callable[[MultiStepAgent, _Answer], None]


class _Conversations:
    """Agents by what identifies a conversation at its latest point. Whoever takes one has it alone."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[str, tuple[MultiStepAgent, list[int], list[tuple[str, str]]]] = OrderedDict()

    def take(self, key: str) -> tuple[MultiStepAgent, list[int], list[tuple[str, str]]] | None:
        return self._kept.pop(key, None)

    def keep(self, key: str, agent: MultiStepAgent, waits_for: list[int], history: list[tuple[str, str]]) -> None:
        previous = self._kept.pop(key, None)
        if previous is not None:
            previous[0].close()
        self._kept[key] = agent, waits_for, history
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)[1][0].close()


class _API:
    def __init__(
        self, agents: dict[str, MultiStepAgent], keys: list[bytes], conversations: _Conversations, runs: int
    ) -> None:
        self._agents = agents
        self._keys = keys
        self._conversations = conversations
        self._free = runs
        self._started = int(time.time())

    # The endpoints.

    async def models(self, request: Request) -> Response:
        self._authorize(request)
        return JSONResponse({"object": "list", "data": [self._described(name) for name in self._agents]})

    async def model(self, request: Request) -> Response:
        self._authorize(request)
        name = request.path_params["name"]
        self._agent(name)
        return JSONResponse(self._described(name))

    async def chat(self, request: Request) -> Response:
        body = await self._body(request)
        turn = _read_messages(_list(body, "messages"))
        scope = str(body.get("user", ""))
        name, events = self._begin(body, _key(scope, turn.history[:-1]), turn)
        head: _Json = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": name}

        def keep(agent: MultiStepAgent, answer: _Answer) -> None:
            history = [*turn.history, ("assistant", answer.text)]
            self._conversations.keep(_key(scope, history), agent, answer.waits_for, history)

        usage = bool(_object(body.get("stream_options")).get("include_usage"))
        if body.get("stream"):
            return _sse(_chat_chunks(events, keep, head, usage))
        answer, reasoning = await _whole(request, events, keep)
        message = {"role": "assistant", "content": answer.text, "reasoning_content": reasoning, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        return JSONResponse({**head, "object": "chat.completion", "choices": [choice], "usage": _chat_usage(answer)})

    async def respond(self, request: Request) -> Response:
        body = await self._body(request)
        given: Any = body.get("input")
        items = [{"role": "user", "content": given}] if isinstance(given, str) else _list(body, "input")
        if body.get("instructions"):
            items = [{"role": "system", "content": body["instructions"]}, *items]
        turn = _read_messages(items)
        name, events = self._begin(body, str(body.get("previous_response_id") or ""), turn)
        head: _Json = {
            "id": f"resp_{uuid.uuid4().hex}",
            "object": "response",
            "created_at": int(time.time()),
            "model": name,
            "error": None,
            "incomplete_details": None,
            "instructions": body.get("instructions"),
            "metadata": {},
            "parallel_tool_calls": False,
            "previous_response_id": body.get("previous_response_id"),
            "temperature": None,
            "tool_choice": "auto",
            "tools": [],
            "top_p": None,
        }

        def keep(agent: MultiStepAgent, answer: _Answer) -> None:
            history = [*turn.history, ("assistant", answer.text)]
            self._conversations.keep(head["id"], agent, answer.waits_for, history)

        if body.get("stream"):
            return _sse(_response_events(events, keep, head))
        answer, reasoning = await _whole(request, events, keep)
        return JSONResponse(_completed(head, answer, reasoning))

    # What they share.

    def _authorize(self, request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        matches = [hmac.compare_digest(given, key) for key in self._keys]
        if self._keys and not any(matches):
            raise HTTPException(401, "the API key is missing or not known")

    async def _body(self, request: Request) -> _Json:
        self._authorize(request)
        data = bytearray()
        async for piece in request.stream():
            data += piece
            if len(data) > MAX_BODY:
                raise HTTPException(413, f"the request has more than {MAX_BODY:,} bytes")
        try:
            body: Any = json.loads(data)
        except (ValueError, RecursionError):
            raise HTTPException(400, "the body is no JSON") from None
        if not isinstance(body, dict):
            raise HTTPException(400, "the body is no object")
        return cast("_Json", body)

    def _agent(self, name: str) -> MultiStepAgent:
        if name not in self._agents:
            known = ", ".join(self._agents)
            raise HTTPException(404, f"there is no model {name[:100]!r}; there are: {known}")
        return self._agents[name]

    def _described(self, name: str) -> _Json:
        return {"id": name, "object": "model", "created": self._started, "owned_by": "cloche"}

    def _begin(self, body: _Json, key: str, turn: _Turn) -> tuple[str, "_Events"]:
        name = str(body.get("model", ""))
        original = self._agent(name)
        if self._free <= 0:
            raise HTTPException(429, "as many runs as are allowed are in progress: try again later")
        known = self._conversations.take(key)
        if known is None:
            return name, _Events(self, original.copy(), turn.task_with_history(), turn.images, reset=True)
        agent, waits_for, history = known
        turn.history[:-1] = history
        return name, _Events(self, agent, turn.task, turn.images, reset=False, waits_for=waits_for)

    def occupy(self, change: int) -> None:
        """Count a run that begins (1) or ends (-1)."""
        self._free -= change


class _Events:
    """One run: what the client may see of it, piece by piece, and the answer at the end."""

    def __init__(
        self,
        api: _API,
        agent: MultiStepAgent,
        task: str,
        images: list[ImagePart],
        *,
        reset: bool,
        waits_for: list[int] | None = None,
    ) -> None:
        self.agent = agent
        self._api = api
        self._task = task
        self._images = images
        self._reset = reset
        self._waits_for = waits_for or []

    async def __aiter__(self) -> AsyncGenerator[str | _Answer, None]:
        self._api.occupy(1)
        answered = False
        try:
            async with aclosing(self._pieces()) as pieces:
                async for piece in pieces:
                    answered = isinstance(piece, _Answer)
                    yield piece
        finally:
            self._api.occupy(-1)
            if not answered:
                self.agent.close()

    async def _pieces(self) -> AsyncGenerator[str | _Answer, None]:
        if self._waits_for:
            yield _answer(await self._decided())
            return
        async with aclosing(self.agent.astream(self._task, reset=self._reset, images=self._images)) as events:
            async for event in events:
                if isinstance(event, RunEnded):
                    yield _answer(event.result)
                elif text := _shown(event):
                    yield text

    async def _decided(self) -> RunResult:
        """Continue a run whose calls wait, as the user's message has it."""
        calls, text = self._waits_for, self._task.strip()
        if text.lower().rstrip(".!") in _AGREES:
            result = await self.agent.aresume(approve=calls, return_full_result=True)
        else:
            result = await self.agent.aresume(deny=dict.fromkeys(calls, text), return_full_result=True)
        assert isinstance(result, RunResult)
        return result


def _answer(result: RunResult) -> _Answer:
    if isinstance(result.error, AgentSuspended):
        asked = "\n".join(f"- `{call.name}` with {call.args or ''}{call.kwargs or ''}" for call in result.error.calls)
        text = f"These calls wait for your approval:\n\n{asked}\n\nReply *approve*, or say why not."
        return _Answer(text, result, [call.id for call in result.error.calls])
    if result.output is None and result.error is not None:
        # Shown as it is written for the caller; nothing of the host's stack.
        raise HTTPException(502, error_text(result.error)[:2_000])
    return _Answer(answer_text(result.output), result)


def _shown(event: AgentEvent) -> str:
    """Return an event as a line of reasoning; empty for one that a user need not see."""
    match event:
        case PlanMade(step=plan):
            return f"Plan:\n{plan.plan}\n"
        case CodeStarted(code=code):
            return f"{fenced(code.strip(), 'python')}\n"
        case Printed(text=text):
            return text
        case StepEnded(step=step) if step.error is not None:
            return f"\n{step.error.type}: {step.error.message}\n"
        case _:
            return ""


def _read_messages(messages: list[Any]) -> _Turn:
    if not messages or len(messages) > _MAX_ITEMS:
        raise HTTPException(400, f"expected 1 to {_MAX_ITEMS} messages, got {len(messages)}")
    history: list[tuple[str, str]] = []
    images: list[ImagePart] = []
    for message in map(_object, messages):
        if message.get("type", "message") != "message" or "content" not in message:
            continue
        text, images = _read_content(message.get("content"))
        history.append((str(message.get("role", "user")), text))
    if not history or history[-1][0] != "user":
        raise HTTPException(400, "the last message is not the user's")
    return _Turn(history, images)


def _read_content(content: object) -> tuple[str, list[ImagePart]]:
    """Return the text of a message and its images, in either API's shape."""
    if isinstance(content, str):
        return content, []
    texts, images = list[str](), list[ImagePart]()
    parts = content if is_list(content) else []
    for part in map(_object, parts):
        kind = part.get("type")
        if kind in ("text", "input_text", "output_text"):
            texts.append(str(part.get("text", "")))
        elif kind in ("image_url", "input_image"):
            images.append(_read_image(part.get("image_url")))
    return "\n".join(texts), images


def _read_image(given: Any) -> ImagePart:
    """Return an image that came inline. One at an address is left to the model to fetch, never to this server."""
    url = _object(given).get("url", given)
    head, comma, data = str(url or "").partition(",")
    if head.startswith("data:image/") and head.endswith(";base64") and comma:
        return ImagePart(media_type=head[len("data:") : -len(";base64")], data=data)
    if head.startswith(("http://", "https://")):
        return ImagePart(url=str(url))
    raise HTTPException(400, "an image is neither a data: URL in base64 nor an address")


def _key(scope: str, history: list[tuple[str, str]]) -> str:
    """Return what identifies a conversation: its user, and every word of it so far."""
    return sha256(json.dumps([scope, history]).encode("utf-8", "surrogatepass")).hexdigest()


def _list(body: _Json, name: str) -> list[Any]:
    value: object = body.get(name)
    if not is_list(value):
        raise HTTPException(400, f"{name!r} is no list")
    return value


def _object(value: object) -> _Json:
    """Return a value that came in if it is an object, else an empty one."""
    return cast("_Json", value) if isinstance(value, dict) else {}


async def _whole(request: Request, events: _Events, keep: _Keep) -> tuple[_Answer, str]:
    """Return the answer and the reasoning. A client that goes away ends the run."""
    run, gone = asyncio.ensure_future(_collect(events, keep)), asyncio.ensure_future(_departure(request))
    try:
        await asyncio.wait({run, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not run.done():
            raise HTTPException(499, "the client went away")
        return run.result()
    finally:
        for task in (run, gone):
            task.cancel()
        await asyncio.gather(run, gone, return_exceptions=True)


async def _collect(events: _Events, keep: _Keep) -> tuple[_Answer, str]:
    reasoning: list[str] = []
    async with aclosing(aiter(events)) as pieces:
        async for piece in pieces:
            if isinstance(piece, _Answer):
                keep(events.agent, piece)
                return piece, "".join(reasoning)
            reasoning.append(piece)
    raise HTTPException(502, "the run ended without an answer")


async def _departure(request: Request) -> None:
    while not await request.is_disconnected():
        await asyncio.sleep(0.25)


def _sse(lines: AsyncIterator[str]) -> StreamingResponse:
    return StreamingResponse(lines, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _event(data: Any, name: str = "") -> str:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {data if isinstance(data, str) else json.dumps(data)}\n\n"


async def _chat_chunks(events: _Events, keep: _Keep, head: _Json, usage: bool) -> AsyncGenerator[str, None]:
    def chunk(delta: _Json, finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return _event({**head, "object": "chat.completion.chunk", "choices": [choice]})

    yield chunk({"role": "assistant", "content": ""})
    try:
        async with aclosing(aiter(events)) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    yield chunk({"reasoning_content": piece})
                    continue
                keep(events.agent, piece)
                yield chunk({"content": piece.text})
                yield chunk({}, "stop")
                if usage:
                    yield _event(
                        {**head, "object": "chat.completion.chunk", "choices": [], "usage": _chat_usage(piece)}
                    )
    except Exception as error:
        yield _event(_error_body(_as_refusal(error)))
    yield _event("[DONE]")


async def _response_events(events: _Events, keep: _Keep, head: _Json) -> AsyncGenerator[str, None]:
    number, reasoning = 0, list[str]()

    def event(kind: str, **content: Any) -> str:
        nonlocal number
        number += 1
        return _event({"type": kind, "sequence_number": number - 1, **content}, kind)

    yield event("response.created", response={**head, "status": "in_progress", "output": []})
    try:
        async with aclosing(aiter(events)) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    place = {"item_id": f"rs_{head['id']}", "output_index": 0, "summary_index": 0}
                    if not reasoning:
                        yield event("response.output_item.added", output_index=0, item=_reasoning_item(head, ""))
                    reasoning.append(piece)
                    yield event("response.reasoning_summary_text.delta", delta=piece, **place)
                    continue
                keep(events.agent, piece)
                done = _completed(head, piece, "".join(reasoning))
                for line in _message_events(event, done, head, piece.text):
                    yield line
                yield event("response.completed", response=done)
    except Exception as error:
        failed = {"code": "server_error", "message": str(_as_refusal(error).detail)}
        yield event("response.failed", response={**head, "status": "failed", "output": [], "error": failed})


def _message_events(event: Any, done: _Json, head: _Json, text: str) -> list[str]:
    index = len(done["output"]) - 1
    lines: list[str] = []
    if index:
        lines.append(event("response.output_item.done", output_index=0, item=done["output"][0]))
    place = {"item_id": f"msg_{head['id']}", "output_index": index, "content_index": 0}
    empty: _Json = {**done["output"][-1], "status": "in_progress", "content": []}
    part: _Json = {"type": "output_text", "text": text, "annotations": []}
    return [
        *lines,
        event("response.output_item.added", output_index=index, item=empty),
        event("response.content_part.added", part={**part, "text": ""}, **place),
        event("response.output_text.delta", delta=text, logprobs=[], **place),
        event("response.output_text.done", text=text, logprobs=[], **place),
        event("response.content_part.done", part=part, **place),
        event("response.output_item.done", output_index=index, item=done["output"][-1]),
    ]


def _completed(head: _Json, answer: _Answer, reasoning: str) -> _Json:
    part: _Json = {"type": "output_text", "text": answer.text, "annotations": []}
    message: _Json = {
        "id": f"msg_{head['id']}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }
    usage = answer.result.usage
    tokens = {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
    output: list[_Json] = [*([_reasoning_item(head, reasoning)] if reasoning else []), message]
    return {**head, "status": "completed", "output": output, "usage": tokens}


def _reasoning_item(head: _Json, text: str) -> _Json:
    summary = [{"type": "summary_text", "text": text}] if text else []
    return {"id": f"rs_{head['id']}", "type": "reasoning", "summary": summary}


def _chat_usage(answer: _Answer) -> dict[str, int]:
    usage = answer.result.usage
    sent, received = usage.input_tokens, usage.output_tokens
    return {"prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received}


_KINDS: Final = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error", 502: "agent_error"}


def _error_body(error: HTTPException) -> _Json:
    kind = _KINDS.get(error.status_code, "invalid_request_error")
    code = "model_not_found" if error.status_code == 404 else None
    return {"error": {"message": str(error.detail), "type": kind, "param": None, "code": code}}


async def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(_error_body(error), status_code=error.status_code)


async def _failure(request: Request, error: Exception) -> Response:
    return JSONResponse(_error_body(_as_refusal(error)), status_code=502)


def _as_refusal(error: Exception) -> HTTPException:
    """Return what a client may know of an error that nothing foresaw: its type."""
    return error if isinstance(error, HTTPException) else HTTPException(502, f"the run failed: {type(error).__name__}")
