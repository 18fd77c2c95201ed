"""Models that need no provider: scripted answers, and recorded ones."""

import hashlib
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from cloche.agent.errors import ModelRefused
from cloche.agent.messages import TASK, Message, TokenUsage, ToolRequest
from cloche.agent.models.base import (
    AnyModel,
    AsyncModel,
    Delta,
    ModelRequest,
    Piece,
    Reply,
    stream_in_thread,
    trimmed,
)
from cloche.agent.values import shorten
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

    :class:`ReplayModel` reads it back. Prompts are not written, answers are, each with the hash of the task it was for.
    """

    def __init__(self, model: AnyModel, path: str | Path) -> None:
        self._model = model
        self._path = Path(path)
        self._lock = threading.Lock()

    @property
    def wrapped(self) -> tuple[AnyModel, ...]:
        """The other model."""
        return (self._model,)

    def generate(self, request: ModelRequest, /) -> Reply:
        """Ask the other model, note its answer and return it."""
        return self._note(request, self._model.generate(request))

    def stream(self, request: ModelRequest, /) -> Iterator[Piece]:
        """Stream the other model's answer and note its end."""
        return (self._noted(request, piece) for piece in self._model.stream(request))

    async def agenerate(self, request: ModelRequest, /) -> Reply:
        """Like :meth:`generate`."""
        model = self._model
        if isinstance(model, AsyncModel):
            return self._note(request, await model.agenerate(request))
        return self._note(request, await acall_on_thread(lambda: model.generate(request)))

    async def astream(self, request: ModelRequest, /) -> AsyncIterator[Piece]:
        """Like :meth:`stream`."""
        model = self._model
        make: Callable[[], Iterator[Piece]] = lambda: model.stream(request)  # noqa: E731
        pieces = model.astream(request) if isinstance(model, AsyncModel) else stream_in_thread(make)
        async for piece in pieces:
            yield self._noted(request, piece)

    def _noted(self, request: ModelRequest, piece: Piece) -> Piece:
        return self._note(request, piece) if isinstance(piece, Reply) else piece

    def _note(self, request: ModelRequest, reply: Reply) -> Reply:
        line = _Recorded(task_hash=_task_hash(request), **dict(reply)).model_dump_json(exclude_none=True)
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
        return reply


class ReplayModel(ScriptedModel):
    """Gives the recorded answers in the recorded order, without network.

    ``path`` is a file that :class:`RecordingModel` wrote: one Reply in JSON per line.
    Raises ConfigurationError, naming the line, for a file that is none; ModelRefused when the answers have run out, and
    for a request of another task than the one that the next answer was for.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(list(_read(Path(path))))
        self._name = Path(path).name

    def _next(self, request: ModelRequest) -> Line:
        line = super()._next(request)
        if not isinstance(line, _Recorded):
            return line
        if line.task_hash and line.task_hash != _task_hash(request):
            asked = shorten(_task(request), 200)
            raise ModelRefused(f"{self._name} was recorded for another task than this one: {asked!r}")
        return Reply(**{name: getattr(line, name) for name in Reply.model_fields})


class _Recorded(Reply):
    """An answer as it is recorded; files of earlier versions have no hash."""

    task_hash: str = ""


def _task_hash(request: ModelRequest) -> str:
    return hashlib.sha256(_task(request).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _task(request: ModelRequest) -> str:
    """Return the text of the latest task, or else of the first thing that was asked."""
    asked = [message.text for message in request.messages if message.role == "user"]
    tasks = [text for text in asked if text.startswith(TASK)]
    return tasks[-1] if tasks else next(iter(asked), "")


def _read(path: Path) -> Iterator[Reply]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            yield _reply(path, number, line)


def _reply(path: Path, number: int, line: str) -> Reply:
    try:
        return _Recorded.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]["msg"]
        raise ConfigurationError("path", f"line {number} of {path.name} is no recorded answer ({first})") from error
