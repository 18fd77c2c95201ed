"""Models that need no provider: scripted answers, and recorded ones."""

import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from cloche.agent.errors import ModelRefused
from cloche.agent.messages import Message, TokenUsage, ToolRequest
from cloche.agent.models.base import (
    AsyncModel,
    Delta,
    Model,
    ModelRequest,
    Piece,
    Reply,
    stream_in_thread,
    trimmed,
)
from cloche.runtime.errors import ConfigurationError
from cloche.runtime.threads import acall_on_thread

__all__ = ["Line", "RecordingModel", "ReplayModel", "ScriptedModel"]


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


class RecordingModel:
    """Passes everything on to another model and appends each answer to a file of JSON lines.

    :class:`ReplayModel` reads it back. Prompts are not written, answers are.
    """

    def __init__(self, model: Model, path: str | Path) -> None:
        self._model = model
        self._path = Path(path)
        self._lock = threading.Lock()

    @property
    def wrapped(self) -> tuple[Model, ...]:
        """The other model."""
        return (self._model,)

    def generate(self, request: ModelRequest, /) -> Reply:
        """Ask the other model, note its answer and return it."""
        return self._note(self._model.generate(request))

    def stream(self, request: ModelRequest, /) -> Iterator[Piece]:
        """Stream the other model's answer and note its end."""
        return (self._noted(piece) for piece in self._model.stream(request))

    async def agenerate(self, request: ModelRequest, /) -> Reply:
        """Like :meth:`generate`."""
        model = self._model
        if isinstance(model, AsyncModel):
            return self._note(await model.agenerate(request))
        return self._note(await acall_on_thread(lambda: model.generate(request)))

    async def astream(self, request: ModelRequest, /) -> AsyncIterator[Piece]:
        """Like :meth:`stream`."""
        model = self._model
        make: Callable[[], Iterator[Piece]] = lambda: model.stream(request)  # noqa: E731
        pieces = model.astream(request) if isinstance(model, AsyncModel) else stream_in_thread(make)
        async for piece in pieces:
            yield self._noted(piece)

    def _noted(self, piece: Piece) -> Piece:
        return self._note(piece) if isinstance(piece, Reply) else piece

    def _note(self, reply: Reply) -> Reply:
        line = reply.model_dump_json(exclude_none=True)
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
        return reply


class ReplayModel(ScriptedModel):
    """Gives the recorded answers in the recorded order, without network.

    ``path`` is a file that :class:`RecordingModel` wrote: one Reply in JSON per line.
    Raises ConfigurationError, naming the line, for a file that is none; ModelRefused when the answers have run out.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(list(_read(Path(path))))


def _read(path: Path) -> Iterator[Reply]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            yield _reply(path, number, line)


def _reply(path: Path, number: int, line: str) -> Reply:
    try:
        return Reply.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]["msg"]
        raise ConfigurationError("path", f"line {number} of {path.name} is no recorded answer ({first})") from error
