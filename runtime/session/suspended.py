"""A program that waits for answers to its tool calls, and the checking of those answers."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from cloche.runtime.bridge.pending import (
    Answer,
    CallDenied,
    GiveValue,
    MakeCall,
    PendingCall,
    RaiseError,
    SuspendedCall,
    as_suspended_call,
)
from cloche.runtime.bridge.protocol import value_reply
from cloche.runtime.bridge.run_state import Listener, RunState
from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import Limits
from cloche.runtime.result import Result, Usage
from cloche.runtime.snapshots.snapshot import Snapshot

if TYPE_CHECKING:
    from cloche.runtime.session.session import Session

__all__ = ["Answers", "Outcome", "Suspended", "SuspendedControl", "checked_answers"]


class Answers(NamedTuple):
    """Answers by the ids of calls, in the four kinds that there are."""

    values: Mapping[int, Any] = {}
    errors: Mapping[int, BaseException] = {}
    approve: Iterable[int] = ()
    deny: Mapping[int, str] = {}


def checked_answers(asked: Answers, held: Mapping[int, PendingCall], limits: Limits) -> dict[int, Answer]:
    """Return the answers.

    Raises ConfigurationError for ids that do not wait, or are given twice, or not at all, and for a value where leave
    is waited for; TypeError or ValueError for a value that cannot cross.
    """
    _check_shapes(asked)
    answers: dict[int, Answer] = {}
    for id_, answer in _each_answer(asked, held):
        if id_ in answers:
            raise ConfigurationError("id", f"call {id_} is answered twice")
        if isinstance(answer, GiveValue):
            value_reply(answer.value, id=id_, limit=limits.result)
        answers[id_] = answer
    if not answers:
        raise ConfigurationError("id", f"nothing is answered: {_list(held)} waits")
    return answers


def _each_answer(asked: Answers, held: Mapping[int, PendingCall]) -> Iterator[tuple[int, Answer]]:
    for id_, value in asked.values.items():
        if _find(id_, held).needs_approval:
            how = f"approve({id_}) calls it, deny({id_}, reason) refuses"
            raise ConfigurationError("id", f"call {id_} waits for approval, and not for a value: {how}")
        yield id_, GiveValue(value)
    for id_, error in asked.errors.items():
        yield _find(id_, held).id, RaiseError(_error(error))
    for id_ in asked.approve:
        yield _find(id_, held).id, MakeCall()
    for id_, reason in asked.deny.items():
        yield id_, RaiseError(CallDenied(_find(id_, held).call.name, _reason(reason)))


def _check_shapes(asked: Answers) -> None:
    for field in ("values", "errors", "deny"):
        given: object = getattr(asked, field)
        if not isinstance(given, Mapping):
            problem = f"a {type(given).__name__} does not say which call gets what: write {{1: ...}}, by the calls' ids"
            raise ConfigurationError(field, problem)
    _check_ids(asked.approve)


def _check_ids(ids: object) -> None:
    if not isinstance(ids, Iterable):
        raise ConfigurationError("approve", f"{ids!r:.40} is not a list of ids: write [{ids!r:.40}]")


def _find(id_: object, held: Mapping[int, PendingCall]) -> PendingCall:
    if type(id_) is not int or id_ not in held:
        raise ConfigurationError("id", f"no call has the id {id_!r:.40}: {_list(held)} waits")
    return held[id_]


def _reason(reason: object) -> str:
    if not isinstance(reason, str):
        raise ConfigurationError("deny", f"a reason is text, and not a {type(reason).__name__}: write some, or ''")
    return reason


def _error(error: object) -> BaseException:
    if not isinstance(error, BaseException):
        raise ConfigurationError("error", f"a {type(error).__name__} is not an exception: pass ValueError('...')")
    return error


def _list(held: Mapping[int, PendingCall]) -> str:
    return ", ".join(f"{each.id} ({each.call.name})" for each in held.values())


class SuspendedControl(NamedTuple):
    """What a session does for its suspended program."""

    go_on: "Callable[[Suspended, dict[int, Answer], Listener | None], Outcome]"
    ago_on: "Callable[[Suspended, dict[int, Answer], Listener | None], Awaitable[Outcome]]"
    give_up: "Callable[[Suspended], None]"


class Suspended:
    """A program that was started with :meth:`Session.start` and waits in the middle for its tool calls.

    Nothing of it runs meanwhile; all of it is in the session's memory, and in :meth:`snapshot`. Each way to go on
    answers some or all of ``calls`` and returns what :meth:`Session.start` returns: a Result, or the next Suspended.
    Calls that got no answer go on waiting, and the program runs as far as it can without them. It goes on once: a
    second time raises NotSuspended. Each method has a twin for async callers, named with an ``a`` in front.

    All of them raise ConfigurationError for ids that do not wait, SessionBusy, SessionClosed, and BudgetSpent.
    """

    def __init__(self, session: "Session", run: RunState, control: SuspendedControl) -> None:
        self._session = session
        self.run = run
        """The account of the run; for the session."""
        self._control = control
        self.held = dict(run.waiting.held) if run.waiting is not None else {}
        """The calls that it waits for, as they were sent; for the session."""
        self.calls: tuple[SuspendedCall, ...] = tuple(map(as_suspended_call, self.held.values()))

    @property
    def session(self) -> "Session":
        """The session that the program runs in."""
        return self._session

    @property
    def stdout(self) -> str:
        """What the program has printed so far."""
        return self.run.stdout.text()

    @property
    def stderr(self) -> str:
        """What it has printed to stderr so far."""
        return self.run.stderr.text()

    @property
    def usage(self) -> Usage:
        """What it has used so far. The time that it waits is not counted."""
        return self.run.carried

    def resume(
        self,
        values: Mapping[int, Any] | None = None,
        *,
        errors: Mapping[int, BaseException] | None = None,
        approve: Iterable[int] = (),
        deny: Mapping[int, str] | None = None,
        on_event: Listener | None = None,
    ) -> "Outcome":
        """Let calls return these ``values`` by id, or raise ``errors``; :meth:`approve` or :meth:`deny` the others.

        Raises TypeError or ValueError for a value that cannot cross, and ConfigurationError for one that is given to
        a call that needs approval.
        """
        return self._control.go_on(
            self, self._answers(Answers(values or {}, errors or {}, approve, deny or {})), on_event
        )

    async def aresume(
        self,
        values: Mapping[int, Any] | None = None,
        *,
        errors: Mapping[int, BaseException] | None = None,
        approve: Iterable[int] = (),
        deny: Mapping[int, str] | None = None,
        on_event: Listener | None = None,
    ) -> "Outcome":
        """Like :meth:`resume`, on another thread. Coroutine tools run on this loop. Being cancelled ends the run."""
        answers = self._answers(Answers(values or {}, errors or {}, approve, deny or {}))
        return await self._control.ago_on(self, answers, on_event)

    def resume_error(self, id: int, error: BaseException) -> "Outcome":
        """Let a call raise this error in the program: its class by name, and its text.

        Of an OSError, whose text may hold the host's file names, only ``strerror``, as with any tool.
        """
        return self.resume(errors={id: error})

    async def aresume_error(self, id: int, error: BaseException) -> "Outcome":
        """Like :meth:`resume_error`."""
        return await self.aresume(errors={id: error})

    def approve(self, *ids: int) -> "Outcome":
        """Call these tools now, with the very arguments that the program gave them, and go on with what they return.

        The tools check the arguments once more, and the program's limits apply to the calls.
        """
        return self.resume(approve=ids)

    async def aapprove(self, *ids: int) -> "Outcome":
        """Like :meth:`approve`."""
        return await self.aresume(approve=ids)

    def deny(self, id: int, reason: str = "") -> "Outcome":
        """Let a call raise PermissionError in the program, with this reason. The tool is not called."""
        return self.resume(deny={id: reason})

    async def adeny(self, id: int, reason: str = "") -> "Outcome":
        """Like :meth:`deny`."""
        return await self.aresume(deny={id: reason})

    def cancel(self) -> None:
        """Give the program up: the session is back where it began. Without rollback, the session ends.

        Raises NotSuspended, SessionBusy or SessionClosed.
        """
        self._control.give_up(self)

    def snapshot(self, *, key: bytes | None = None, tenant: str | None = None) -> Snapshot:
        """Return the session with the suspended program in it; see :meth:`Session.snapshot`. It goes on waiting.

        ``Sandbox.restore(snapshot).suspended`` is the program again, in any process.
        """
        return self._session.snapshot(key=key, tenant=tenant)

    async def asnapshot(self, *, key: bytes | None = None, tenant: str | None = None) -> Snapshot:
        """Like :meth:`snapshot`, on another thread."""
        return await self._session.asnapshot(key=key, tenant=tenant)

    def __repr__(self) -> str:
        return f"<Suspended, waits for {self.waits_for()}>"

    def waits_for(self) -> str:
        """Return the calls as one line of text."""
        return ", ".join(map(str, self.calls))

    def _answers(self, asked: Answers) -> dict[int, Answer]:
        return checked_answers(asked, self.held, self.run.limits)


Outcome: TypeAlias = Result[Any] | Suspended
"""How a program ends that was started, for now or for good."""
