"""Recording a model's answers, so that a run can be repeated without it."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from cloche.agent.models.protocol import AsyncModel, Model, ModelRequest, Piece, Reply
from cloche.agent.models.threaded import in_thread, stream_in_thread

__all__ = ["RecordingModel"]


class RecordingModel:
    """Passes everything on to another model and appends each answer to a file of JSON lines.

    :class:`cloche.agent.models.ReplayModel` reads it back. Prompts are not written, answers are.
    """

    def __init__(self, model: Model, path: str | Path) -> None:
        self._model = model
        self._path = Path(path)
        self._lock = threading.Lock()

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
        return self._note(await in_thread(lambda: model.generate(request)))

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
