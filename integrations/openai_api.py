"""Agents behind OpenAI's API: chat programs and SDKs that speak to it talk to an agent as to a model.

An ASGI application with ``/v1/models``, ``/v1/chat/completions`` and ``/v1/responses``, whole or streamed. What an
agent does on the way comes as reasoning. A conversation that continues is recognised by its messages, or by
``previous_response_id``: its agent still has its memory and its variables.
"""

import hmac
import json
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cloche.agent.base import MultiStepAgent
from cloche.agent.errors import AgentSuspended
from cloche.agent.events import AgentEvent, CodeStarted, PlanMade, Printed, RunEnded, RunResult, StepEnded
from cloche.agent.messages import ImagePart
from cloche.agent.values import answer_text, error_text, fenced
from cloche.runtime.errors import ConfigurationError
from cloche.serve.chat import (
    AGREES,
    ChatAnswer,
    Pieces,
    Turn,
    answer_chat,
    answer_response,
    as_refusal,
    error_body,
    model_shown,
    models_shown,
    question_text,
)

__all__ = ["openai_app"]

_Json = dict[str, Any]

MAX_BODY: Final = 32 << 20
"""Bytes of a request, images included."""


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
class _Answer(ChatAnswer):
    """What came of a run. ``waits_for`` are calls that the next message decides on."""

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
        return models_shown(self._agents, self._started)

    async def model(self, request: Request) -> Response:
        self._authorize(request)
        name = request.path_params["name"]
        self._agent(name)
        return model_shown(name, self._started)

    async def chat(self, request: Request) -> Response:
        return await answer_chat(request, await self._body(request), self._begin)

    async def respond(self, request: Request) -> Response:
        return await answer_response(request, await self._body(request), self._begin)

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

    def _agent(self, name: object) -> MultiStepAgent:
        if not isinstance(name, str) or name not in self._agents:
            known = ", ".join(self._agents)
            raise HTTPException(404, f"there is no model {str(name)[:100]!r}; there are: {known}")
        return self._agents[name]

    async def _begin(self, name: object, key: str, turn: Turn, after: Callable[[str], str]) -> Pieces:
        original = self._agent(name)
        if self._free <= 0:
            raise HTTPException(429, "as many runs as are allowed are in progress: try again later")
        known = self._conversations.take(key)
        if known is None:
            events = _Events(self, original.copy(), turn.task_with_history(), turn.images, reset=True)
        else:
            agent, waits_for, history = known
            turn.history[:-1] = history
            events = _Events(self, agent, turn.task, turn.images, reset=False, waits_for=waits_for)

        def keep(agent: MultiStepAgent, answer: _Answer) -> None:
            history = [*turn.history, ("assistant", answer.text)]
            self._conversations.keep(after(answer.text), agent, answer.waits_for, history)

        return _kept(events, keep)

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
        if text.lower().rstrip(".!") in AGREES:
            result = await self.agent.aresume(approve=calls, return_full_result=True)
        else:
            result = await self.agent.aresume(deny=dict.fromkeys(calls, text), return_full_result=True)
        assert isinstance(result, RunResult)
        return result


def _answer(result: RunResult) -> _Answer:
    if isinstance(result.error, AgentSuspended):
        text = question_text((call.name, f"{call.args or ''}{call.kwargs or ''}") for call in result.error.calls)
        return _Answer(text, *_tokens(result), [call.id for call in result.error.calls])
    if result.output is None and result.error is not None:
        # Shown as it is written for the caller; nothing of the host's stack.
        raise HTTPException(502, error_text(result.error)[:2_000])
    return _Answer(answer_text(result.output), *_tokens(result))


def _tokens(result: RunResult) -> tuple[int, int]:
    return result.usage.input_tokens, result.usage.output_tokens


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


async def _kept(events: _Events, keep: _Keep) -> Pieces:
    """Yield a run's pieces, and keep its agent once there is the answer."""
    async with aclosing(aiter(events)) as pieces:
        async for piece in pieces:
            if isinstance(piece, _Answer):
                keep(events.agent, piece)
            yield piece


async def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(error_body(error), status_code=error.status_code)


async def _failure(request: Request, error: Exception) -> Response:
    return JSONResponse(error_body(as_refusal(error)), status_code=502)
