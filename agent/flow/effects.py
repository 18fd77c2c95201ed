"""What an agent's loop asks to be done."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cloche.agent.events import AgentEvent, TextDelta
from cloche.agent.flow.threads import finished
from cloche.agent.models.protocol import AsyncModel, Delta, ModelRequest, Piece, Reply, last_reply
from cloche.agent.models.threaded import in_thread, stream_in_thread

if TYPE_CHECKING:
    from cloche.agent.flow.run import Run

__all__ = ["AskModel", "Call", "Effect"]

T = TypeVar("T")


class Effect(Generic[T]):
    """Something to do. Performed once; its outcome is then in ``value``.

    Both ways of performing it yield events, only where the run is streamed, after observers have seen them.
    """

    value: T

    def perform(self) -> Iterator[AgentEvent]:
        """Do it, blocking this thread."""
        raise NotImplementedError

    def aperform(self) -> AsyncGenerator[AgentEvent, None]:
        """Do it, awaiting."""
        raise NotImplementedError


class Call(Effect[T]):
    """Call a function that may block for a while, or whose result is to be awaited."""

    def __init__(self, function: Callable[[], Any], *, blocks: bool = True) -> None:
        self._function = function
        self._blocks = blocks

    def perform(self) -> Iterator[AgentEvent]:
        """Call it; a result that is awaitable gets an event loop of its own."""
        self.value = finished(self._function())
        return iter(())

    async def aperform(self) -> AsyncGenerator[AgentEvent, None]:
        """Call it, on another thread if it blocks."""
        value = await in_thread(self._function) if self._blocks else self._function()
        self.value = await value if hasattr(value, "__await__") else value
        # What makes this an async generator: a call has no events of its own.
        nothing: tuple[AgentEvent, ...] = ()
        for event in nothing:
            yield event


class AskModel(Effect[Reply]):
    """Ask the run's model."""

    def __init__(self, run: "Run", model: Any, request: ModelRequest) -> None:
        self._run = run
        self._model = model
        self._request = request

    def perform(self) -> Iterator[AgentEvent]:
        """Ask, and yield the text as it comes if the run is streamed."""
        if not self._run.streamed:
            self.value = self._model.generate(self._request)
            return
        piece: Piece | None = None
        for piece in self._model.stream(self._request):
            self._run.check_interrupted()
            if isinstance(piece, Delta):
                yield self._run.tell(self._event(piece))
        self.value = last_reply(piece)

    async def aperform(self) -> AsyncGenerator[AgentEvent, None]:
        """Like :meth:`perform`; an interrupt ends the waiting at once."""
        if not self._run.streamed:
            self.value = await self._run.interruptible(self._asked())
            return
        pieces = self._pieces()
        piece: Piece | None = None
        while (found := await self._run.interruptible(_next(pieces))) is not None:
            piece = found
            if isinstance(piece, Delta):
                yield self._run.tell(self._event(piece))
        self.value = last_reply(piece)

    async def _asked(self) -> Reply:
        if isinstance(self._model, AsyncModel):
            return await self._model.agenerate(self._request)
        return await in_thread(lambda: self._model.generate(self._request))

    def _pieces(self) -> AsyncIterator[Piece]:
        if isinstance(self._model, AsyncModel):
            return self._model.astream(self._request)
        return stream_in_thread(lambda: self._model.stream(self._request))

    def _event(self, delta: Delta) -> TextDelta:
        return TextDelta(delta.text, delta.restart, **self._run.stamp)


async def _next(pieces: AsyncIterator[Piece]) -> Piece | None:
    return await anext(pieces, None)
