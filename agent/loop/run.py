"""One run of an agent: what belongs to it alone."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self, TypedDict, TypeVar, Unpack
from uuid import uuid4

from cloche.agent.errors import AgentInterrupted
from cloche.agent.events import AgentEvent
from cloche.agent.settings import Ledger, Observer
from cloche.host_tools.policy.policy import Scope, current_scope

__all__ = ["CallReplies", "CallReplyOptions", "Run"]


class CallReplyOptions(TypedDict, total=False):
    """The replies to calls, by their ids; see :meth:`cloche.agent.base.MultiStepAgent.resume`."""

    approve: Iterable[int] | Mapping[int, Mapping[str, Any] | None]
    deny: Mapping[int, str]
    values: Mapping[int, Any]
    errors: Mapping[int, BaseException]


@dataclass(frozen=True, slots=True)
class CallReplies:
    """Replies as keywords of :meth:`cloche.runtime.session.session.Suspended.resume`. False if there are none."""

    options: dict[str, Any]

    @classmethod
    def of(cls, **options: Unpack[CallReplyOptions]) -> Self:
        """Return these replies."""
        given: Any = options.get("approve", ())
        approve = dict(given) if issubclass(type(given), Mapping) else tuple(given)
        return cls({name: value for name, value in {**options, "approve": approve}.items() if value})

    def __bool__(self) -> bool:
        return bool(self.options)


T = TypeVar("T")
E = TypeVar("E", bound=AgentEvent)


class Run:
    """One run: its account, its observers, and whether it was interrupted.

    ``request`` is the task in the words of the manager's call, if there was one. ``stamp`` holds the fields that all of
    its events carry. ``streamed`` says whether its events are read as they happen. ``answers`` are the final answers
    given; the first one counts. ``children`` are the runs of managed agents; ``step`` is the number of the step under
    way. ``replies`` are what the run was given for pending calls, and ``may_wait`` says whether such calls may wait.
    """

    def __init__(
        self,
        agent: str,
        ledger: Ledger,
        max_steps: int,
        observers: Sequence[Observer] = (),
        stop: Callable[[], object] | None = None,
        parent: Self | None = None,
    ) -> None:
        self.id = uuid4().hex
        self.stamp: dict[str, str] = {"agent": agent, "run_id": self.id}
        self.ledger = ledger
        self.max_steps = max_steps
        self.observers = tuple(observers)
        self.parent = parent
        self.children: set[Run] = set()
        self.streamed = False
        self.request = ""
        self.first_step = 0
        self.answers: list[Any] = []
        self.replies = CallReplies.of()
        self.may_wait = True
        self.step = 0
        self._scope = Scope(agent)
        self._stop = stop
        self._interrupted = False
        self._lock = threading.Lock()
        self._waiting: asyncio.Task[Any] | None = None

    def emit(self, event: E) -> E:
        """Show an event to the observers and return it."""
        for observer in self.observers:
            observer(event)
        return event

    @contextmanager
    def scoped(self) -> Generator[None, None, None]:
        """Have the tool calls of a block counted and recorded as this run's and this step's."""
        token = current_scope.set(self._scope.at(self.step))
        try:
            yield
        finally:
            current_scope.reset(token)

    def interrupt(self) -> None:
        """From any thread: end what the run and its children are doing, and have it stop there."""
        with self._lock:
            self._interrupted = True
            waiting = self._waiting
        if waiting is not None:
            waiting.get_loop().call_soon_threadsafe(waiting.cancel)
        for child in tuple(self.children):
            child.interrupt()
        if self._stop is not None:
            self._stop()

    def check_interrupted(self) -> None:
        """Raise AgentInterrupted if the run was interrupted."""
        if self._interrupted:
            raise AgentInterrupted

    async def interruptible(self, work: Coroutine[Any, Any, T]) -> T:
        """Await something that :meth:`interrupt` may end. Raises AgentInterrupted."""
        task = asyncio.ensure_future(work)
        with self._lock:
            self._waiting = task
        try:
            if self._interrupted:
                task.cancel()
            return await task
        except asyncio.CancelledError:
            self.check_interrupted()
            raise
        finally:
            # If this coroutine was cancelled, the task has not been yet.
            task.cancel()
            self._waiting = None
