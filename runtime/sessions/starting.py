"""Programs in a session that may wait in the middle, and how they go on."""

from typing import TYPE_CHECKING, Any

from cloche.runtime.limits import Limits
from cloche.runtime.result import Result
from cloche.runtime.running import jobs as requests
from cloche.runtime.running.execution import Execution
from cloche.runtime.running.run_state import Listener
from cloche.runtime.sessions.turns import Turns
from cloche.runtime.suspension.answers import Answer
from cloche.runtime.suspension.passing import give_up
from cloche.runtime.suspension.suspended import Control, Outcome, Suspended
from cloche.runtime.suspension.waiting import Rule, WaitingCalls

if TYPE_CHECKING:
    import asyncio

__all__ = ["Starts"]


class Starts(Turns):
    """The part of a session that starts programs which may be suspended."""

    def start(
        self,
        code: str,
        *,
        limits: Limits | None = None,
        on_event: Listener | None = None,
        suspend: Rule | None = None,
        step: bool = False,
    ) -> Outcome:
        """Run a program until it ends or has to wait; return its Result, or the Suspended program.

        It waits at calls of tools that suspend or need approval, at calls for which ``suspend(name, args, kwargs)``
        is true, and with ``step`` at every call. All other calls are made at once. While it waits, the session can do
        nothing else: another run raises SessionSuspended. Its limits count on when it goes on; waiting costs no time.

        The other arguments and errors are those of :meth:`run`. What ``suspend`` raises ends the run and is raised.
        """
        waiting = WaitingCalls(self._guest.tools, allowed=True, rule=suspend, every=step)
        return self._outcome(*self._performed(self._begin(requests.run(code), limits, on_event, None, waiting)))

    async def astart(
        self,
        code: str,
        *,
        limits: Limits | None = None,
        on_event: Listener | None = None,
        suspend: Rule | None = None,
        step: bool = False,
    ) -> Outcome:
        """Like :meth:`start`, on another thread. Coroutine tools run on this loop. Being cancelled ends the run."""
        import asyncio

        waiting = WaitingCalls(self._guest.tools, allowed=True, rule=suspend, every=step)
        loop = asyncio.get_running_loop()
        execution = self._begin(requests.run(code), limits, on_event, loop, waiting)
        return self._outcome(execution, await self._detach(execution).wait_async())

    @property
    def suspended(self) -> Suspended | None:
        """The program that is suspended in this session, or None."""
        return self._pauses.current

    def _control(self) -> Control:
        return Control(self._go_on, self._ago_on, self._give_up)

    def _begin_again(
        self,
        suspended: Suspended,
        answers: dict[int, Answer],
        listener: Listener | None,
        loop: "asyncio.AbstractEventLoop | None",
    ) -> Execution:
        with self._taking():
            self._pauses.check(suspended)
            run = suspended.run
            self._guest.affordable(run.limits)
            job = requests.resume(answers)(self._guest, run.limits)
            execution = self._current = Execution(self._guest, job, run, self._done, loop, suspended)
            self._pauses.current, run.listener = None, listener
        return execution

    def _go_on(self, suspended: Suspended, answers: dict[int, Answer], listener: Listener | None) -> Outcome:
        return self._outcome(*self._performed(self._begin_again(suspended, answers, listener, None)))

    async def _ago_on(self, suspended: Suspended, answers: dict[int, Answer], listener: Listener | None) -> Outcome:
        import asyncio

        execution = self._begin_again(suspended, answers, listener, asyncio.get_running_loop())
        return self._outcome(execution, await self._detach(execution).wait_async())

    def _give_up(self, suspended: Suspended) -> None:
        with self._taking():
            self._pauses.check(suspended)
            self._pauses.forget()
            self._guest.discard()
            if not self._guest.keeps:
                self._ended = "its suspended program was given up and rollback is off"
                self._guest.close()
            self._busy.release()
        for held in suspended.held.values():
            give_up(self._guest.tools, held)

    def _outcome(self, execution: Execution, result: Result[Any]) -> Outcome:
        return execution.paused if isinstance(execution.paused, Suspended) else result
