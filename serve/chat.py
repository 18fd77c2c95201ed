"""What OpenAI's chat API looks like: messages that come in, and answers and their pieces that go out.

Shapes only: whoever has an answer begins it (:data:`Begin`) and gives its pieces, lines of reasoning and then the
:class:`ChatAnswer`.
"""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from cloche.agent.messages import ImagePart
from cloche.runtime.bridge.protocol import is_list

__all__ = [
    "AGREES",
    "Begin",
    "ChatAnswer",
    "Pieces",
    "Turn",
    "answer_chat",
    "answer_response",
    "as_object",
    "as_refusal",
    "error_body",
    "model_shown",
    "models_shown",
    "question_text",
]

_Json = dict[str, Any]

_MAX_ITEMS: Final = 2_000
AGREES: Final = frozenset({"approve", "approved", "yes", "ok"})
"""What a user writes who approves a call that waits."""


@dataclass
class Turn:
    """What a client said: the conversation so far, as (role, text), the last text being the task."""

    history: list[tuple[str, str]]
    images: list[ImagePart]

    @property
    def task(self) -> str:
        """The user's latest message."""
        return self.history[-1][1]

    def task_with_history(self) -> str:
        """Return the task for an agent that was not there before."""
        if len(self.history) == 1:
            return self.task
        before = "\n\n".join(f"{role}: {text}" for role, text in self.history[:-1])
        return f"The conversation so far:\n\n{before}\n\nThe user's new message:\n\n{self.task}"


@dataclass
class ChatAnswer:
    """What came of a run: ``text`` for the user, and the tokens that it took."""

    text: str
    input_tokens: int
    output_tokens: int


Pieces = AsyncGenerator[str | ChatAnswer, None]
"""Lines of reasoning, and the answer at last."""
Begin = Callable[[object, str, Turn, Callable[[str], str]], Awaitable[Pieces]]
"""Begins a turn: of the model of that name, of the conversation that is identified so. What it returns for the answer's
text identifies the conversation from then on. Raises HTTPException."""

# The requests.


async def answer_chat(request: Request, body: _Json, begin: Begin) -> Response:
    """Answer a request to ``/v1/chat/completions``, whole or streamed. Raises HTTPException."""
    turn, scope = _read_messages(_read_list(body, "messages")), _scope(request, body)

    def after(text: str) -> str:
        return _conversation_key(scope, [*turn.history, ("assistant", text)])

    pieces = await begin(body.get("model"), _conversation_key(scope, turn.history[:-1]), turn, after)
    head = _chat_head(str(body["model"]))
    if body.get("stream"):
        return _sse(_chat_chunks(pieces, head, bool(as_object(body.get("stream_options")).get("include_usage"))))
    return _json(_chat_completion(head, *await _whole(request, pieces)))


async def answer_response(request: Request, body: _Json, begin: Begin) -> Response:
    """Answer a request to ``/v1/responses``, whole or streamed. Raises HTTPException."""
    turn, id = _response_turn(body), f"resp_{uuid.uuid4().hex}"
    pieces = await begin(body.get("model"), str(body.get("previous_response_id") or "none"), turn, lambda text: id)
    head = _response_head(body, str(body["model"]), id)
    if body.get("stream"):
        return _sse(_response_events(pieces, head))
    return _json(_completed(head, *await _whole(request, pieces)))


def models_shown(names: Iterable[str], since: int) -> Response:
    """Return the list of models; they are there since that time, in seconds."""
    return _json({"object": "list", "data": [_model(name, since) for name in names]})


def model_shown(name: str, since: int) -> Response:
    """Return one model."""
    return _json(_model(name, since))


def question_text(calls: Iterable[tuple[str, str]]) -> str:
    """Return the answer that asks about calls, each a tool's name and its arguments."""
    asked = "\n".join(f"- `{name}` with {arguments}" for name, arguments in calls)
    return f"These calls wait for your approval:\n\n{asked}\n\nReply *approve*, or say why not."


def _model(name: str, since: int) -> _Json:
    return {"id": name, "object": "model", "created": since, "owned_by": "cloche"}


def _json(form: _Json) -> Response:
    return JSONResponse(form, headers={"cache-control": "no-store"})


# What comes in.


def _read_messages(messages: list[Any]) -> Turn:
    """Return what the messages of a request say. Raises HTTPException."""
    if not messages or len(messages) > _MAX_ITEMS:
        raise HTTPException(400, f"expected 1 to {_MAX_ITEMS} messages, got {len(messages)}")
    history: list[tuple[str, str]] = []
    images: list[ImagePart] = []
    for message in map(as_object, messages):
        if message.get("type", "message") != "message" or "content" not in message:
            continue
        text, images = _read_content(message.get("content"))
        history.append((str(message.get("role", "user")), text))
    if not history or history[-1][0] != "user":
        raise HTTPException(400, "the last message is not the user's")
    return Turn(history, images)


def _read_content(content: object) -> tuple[str, list[ImagePart]]:
    """Return the text of a message and its images, in either API's shape."""
    if isinstance(content, str):
        return content, []
    texts, images = list[str](), list[ImagePart]()
    parts = content if is_list(content) else []
    for part in map(as_object, parts):
        kind = part.get("type")
        if kind in ("text", "input_text", "output_text"):
            texts.append(str(part.get("text", "")))
        elif kind in ("image_url", "input_image"):
            images.append(_read_image(part.get("image_url")))
    return "\n".join(texts), images


def _read_image(given: Any) -> ImagePart:
    """Return an image that came inline. One at an address is left to the model to fetch, never to this server."""
    url = as_object(given).get("url", given)
    head, comma, data = str(url or "").partition(",")
    if head.startswith("data:image/") and head.endswith(";base64") and comma:
        return ImagePart(media_type=head[len("data:") : -len(";base64")], data=data)
    if head.startswith(("http://", "https://")):
        return ImagePart(url=str(url))
    raise HTTPException(400, "an image is neither a data: URL in base64 nor an address")


def _scope(request: Request, body: _Json) -> str:
    """Return what keeps users apart, and the chats of each: what clients say of them, which is no proof of anything."""
    headers = (request.headers.get(f"x-openwebui-{name}-id", "") for name in ("user", "chat"))
    return json.dumps([str(body.get("user") or ""), *headers])


def _conversation_key(scope: str, history: list[tuple[str, str]]) -> str:
    """Return what identifies a conversation: its user, and every word of it so far."""
    said = [(role, text.strip()) for role, text in history]
    return sha256(json.dumps([scope, said]).encode("utf-8", "surrogatepass")).hexdigest()


def _read_list(body: _Json, name: str) -> list[Any]:
    """Return a list of a request. Raises HTTPException."""
    value: object = body.get(name)
    if not is_list(value):
        raise HTTPException(400, f"{name!r} is no list")
    return value


def as_object(value: object) -> _Json:
    """Return a value that came in if it is an object, else an empty one."""
    return cast("_Json", value) if isinstance(value, dict) else {}


def _response_turn(body: _Json) -> Turn:
    """Return what a request to ``/v1/responses`` says. Raises HTTPException."""
    given: Any = body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else _read_list(body, "input")
    if body.get("instructions"):
        items = [{"role": "system", "content": body["instructions"]}, *items]
    return _read_messages(items)


# What goes out.


async def _whole(request: Request, given: Pieces) -> tuple[ChatAnswer, str]:
    """Return the answer and the reasoning. A client that goes away ends what gives them. Raises HTTPException."""
    run, gone = asyncio.ensure_future(_collect(given)), asyncio.ensure_future(_departure(request))
    try:
        await asyncio.wait({run, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not run.done():
            raise HTTPException(499, "the client went away")
        return run.result()
    finally:
        for task in (run, gone):
            task.cancel()
        await asyncio.gather(run, gone, return_exceptions=True)


async def _collect(given: Pieces) -> tuple[ChatAnswer, str]:
    reasoning: list[str] = []
    async with aclosing(given) as pieces:
        async for piece in pieces:
            if isinstance(piece, ChatAnswer):
                return piece, "".join(reasoning)
            reasoning.append(piece)
    raise HTTPException(502, "the run ended without an answer")


async def _departure(request: Request) -> None:
    while not await request.is_disconnected():
        await asyncio.sleep(0.25)


def _chat_head(model: str) -> _Json:
    """Return what a completion and each of its chunks begin with."""
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}


def _response_head(body: _Json, model: str, id: str) -> _Json:
    """Return what a response begins with."""
    return {
        "id": id,
        "object": "response",
        "created_at": int(time.time()),
        "model": model,
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


def _chat_completion(head: _Json, answer: ChatAnswer, reasoning: str) -> _Json:
    """Return a whole completion."""
    message = {"role": "assistant", "content": answer.text, "reasoning_content": reasoning, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return {**head, "object": "chat.completion", "choices": [choice], "usage": _chat_usage(answer)}


def _sse(lines: AsyncIterator[str]) -> StreamingResponse:
    """Return lines as they come."""
    return StreamingResponse(lines, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _event(data: Any, name: str = "") -> str:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {data if isinstance(data, str) else json.dumps(data)}\n\n"


async def _chat_chunks(given: Pieces, head: _Json, usage: bool) -> AsyncGenerator[str, None]:
    """Yield an answer as chunks of a completion, with its ``usage`` at last if that is wanted."""

    def chunk(delta: _Json, finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return _event({**head, "object": "chat.completion.chunk", "choices": [choice]})

    yield chunk({"role": "assistant", "content": ""})
    try:
        async with aclosing(given) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    yield chunk({"reasoning_content": piece})
                    continue
                yield chunk({"content": piece.text})
                yield chunk({}, "stop")
                if usage:
                    yield _event(
                        {**head, "object": "chat.completion.chunk", "choices": [], "usage": _chat_usage(piece)}
                    )
    except Exception as error:
        yield _event(error_body(as_refusal(error)))
    yield _event("[DONE]")


async def _response_events(given: Pieces, head: _Json) -> AsyncGenerator[str, None]:
    """Yield an answer as the events of a response."""
    number, reasoning = 0, list[str]()

    def event(kind: str, **content: Any) -> str:
        nonlocal number
        number += 1
        return _event({"type": kind, "sequence_number": number - 1, **content}, kind)

    yield event("response.created", response={**head, "status": "in_progress", "output": []})
    try:
        async with aclosing(given) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    place = {"item_id": f"rs_{head['id']}", "output_index": 0, "summary_index": 0}
                    if not reasoning:
                        yield event("response.output_item.added", output_index=0, item=_reasoning_item(head, ""))
                    reasoning.append(piece)
                    yield event("response.reasoning_summary_text.delta", delta=piece, **place)
                    continue
                done = _completed(head, piece, "".join(reasoning))
                for line in _message_events(event, done, head, piece.text):
                    yield line
                yield event("response.completed", response=done)
    except Exception as error:
        failed = {"code": "server_error", "message": str(as_refusal(error).detail)}
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


def _completed(head: _Json, answer: ChatAnswer, reasoning: str) -> _Json:
    """Return a whole response."""
    part: _Json = {"type": "output_text", "text": answer.text, "annotations": []}
    message: _Json = {
        "id": f"msg_{head['id']}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }
    tokens = {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }
    output: list[_Json] = [*([_reasoning_item(head, reasoning)] if reasoning else []), message]
    return {**head, "status": "completed", "output": output, "usage": tokens}


def _reasoning_item(head: _Json, text: str) -> _Json:
    summary = [{"type": "summary_text", "text": text}] if text else []
    return {"id": f"rs_{head['id']}", "type": "reasoning", "summary": summary}


def _chat_usage(answer: ChatAnswer) -> dict[str, int]:
    sent, received = answer.input_tokens, answer.output_tokens
    return {"prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received}


_KINDS: Final = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error", 502: "agent_error"}


def error_body(error: HTTPException, code: str = "") -> _Json:
    """Return a refusal as the API says it."""
    kind = _KINDS.get(error.status_code, "invalid_request_error")
    named = code or ("model_not_found" if error.status_code == 404 else None)
    return {"error": {"message": str(error.detail), "type": kind, "param": None, "code": named}}


def as_refusal(error: Exception) -> HTTPException:
    """Return what a client may know of an error that nothing foresaw: its type."""
    return error if isinstance(error, HTTPException) else HTTPException(502, f"the run failed: {type(error).__name__}")
