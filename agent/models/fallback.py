"""Several models, of which the first that answers is used."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from cloche.agent.errors import ModelError
from cloche.agent.models.base import AnyModel, AsyncModel, Delta, ModelRequest, Piece, Reply, stream_in_thread
from cloche.runtime.errors import ConfigurationError
from cloche.runtime.threads import acall_on_thread

__all__ = ["FallbackModel"]


class FallbackModel:
    """Asks its models in order until one answers; the last one's ModelError is raised if none does.

    A stream that breaks off is begun anew by the next model, after a Delta that says ``restart``.
    """

    def __init__(self, models: Sequence[AnyModel]) -> None:
        if not models:
            raise ConfigurationError("models", "give at least one model to ask")
        self._models = tuple(models)

    @property
    def wrapped(self) -> tuple[AnyModel, ...]:
        """Its models, in order."""
        return self._models

    def generate(self, request: ModelRequest, /) -> Reply:
        """Return the first answer."""
        for model in self._models[:-1]:
            try:
                return model.generate(request)
            except ModelError:
                continue
        return self._models[-1].generate(request)

    def stream(self, request: ModelRequest, /) -> Iterator[Piece]:
        """Stream the first answer."""
        for model in self._models[:-1]:
            try:
                yield from model.stream(request)
                return
            except ModelError:
                yield Delta(restart=True)
        yield from self._models[-1].stream(request)

    async def agenerate(self, request: ModelRequest, /) -> Reply:
        """Like :meth:`generate`."""
        for model in self._models[:-1]:
            try:
                return await _ask(model, request)
            except ModelError:
                continue
        return await _ask(self._models[-1], request)

    async def astream(self, request: ModelRequest, /) -> AsyncIterator[Piece]:
        """Like :meth:`stream`."""
        for model in self._models:
            try:
                async for piece in _pieces(model, request):
                    yield piece
                return
            except ModelError:
                if model is self._models[-1]:
                    raise
                yield Delta(restart=True)


async def _ask(model: AnyModel, request: ModelRequest) -> Reply:
    if isinstance(model, AsyncModel):
        return await model.agenerate(request)
    return await acall_on_thread(lambda: model.generate(request))


def _pieces(model: AnyModel, request: ModelRequest) -> AsyncIterator[Piece]:
    make: Callable[[], Iterator[Piece]] = lambda: model.stream(request)  # noqa: E731
    return model.astream(request) if isinstance(model, AsyncModel) else stream_in_thread(make)
