"""A model that says what it was told to: for tests and demonstrations."""

import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

from cloche.agent.errors import ModelRefused
from cloche.agent.messages import Message, TokenUsage, ToolRequest
from cloche.agent.models.protocol import Delta, ModelRequest, Piece, Reply, trimmed

__all__ = ["Line", "ScriptedModel"]

Line = str | ToolRequest | list[ToolRequest] | Reply | Exception
"""One answer: text, one or more tool calls, a whole Reply, or an error to raise."""


class ScriptedModel:
    """Answers with the given lines in order, or with what a function makes of each request.

    ``requests`` holds every request it was given. Tokens are counted as words, so that budgets can be tested.
    Raises ModelRefused when the lines have run out.
    """

    def __init__(self, lines: Iterable[Line] | Callable[[ModelRequest], Line], *, cost: float | None = None) -> None:
        self._answer = lines if callable(lines) else None
        self._lines = iter(()) if callable(lines) else iter(lines)
        self._cost = cost
        self._lock = threading.Lock()
        self.requests: list[ModelRequest] = []

    def generate(self, request: ModelRequest, /) -> Reply:
        """Return the next answer, or raise it if it is an error."""
        line = self._next(request)
        if isinstance(line, Exception):
            raise line
        return line if isinstance(line, Reply) else self._reply(_message(line, request), request)

    def stream(self, request: ModelRequest, /) -> Iterator[Piece]:
        """Yield the next answer's words, then the answer."""
        reply = self.generate(request)
        for word in reply.message.text.splitlines(keepends=True):
            yield Delta(word)
        yield reply

    async def agenerate(self, request: ModelRequest, /) -> Reply:
        """Like :meth:`generate`."""
        return self.generate(request)

    async def astream(self, request: ModelRequest, /) -> AsyncIterator[Piece]:
        """Like :meth:`stream`."""
        for piece in self.stream(request):
            yield piece

    def _next(self, request: ModelRequest) -> Line:
        with self._lock:
            self.requests.append(request)
            if self._answer is not None:
                return self._answer(request)
            try:
                return next(self._lines)
            except StopIteration:
                raise ModelRefused(f"the script ended before request number {len(self.requests)}") from None

    def _reply(self, message: Message, request: ModelRequest) -> Reply:
        asked = sum(len(part.text.split()) for part in request.messages)
        usage = TokenUsage(input_tokens=asked, output_tokens=len(message.text.split()) or 1, cost=self._cost)
        return Reply(message=message, usage=usage, model="scripted")


def _message(line: str | ToolRequest | list[ToolRequest], request: ModelRequest) -> Message:
    if isinstance(line, str):
        return Message.of("assistant", trimmed(line, request.stop))
    return Message(role="assistant", tool_calls=tuple(line) if isinstance(line, list) else (line,))
