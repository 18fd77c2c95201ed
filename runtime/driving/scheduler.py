"""The threads on which scheduled programs compute, in turns: a few threads for any number of programs.

A program holds a thread only while it computes. One that waits has left its thread, and comes back when what it waits
for has come; one whose slice is over, while others want its place, is asked to leave and queues up again
(:mod:`cloche.runtime.driving.turns`). Where it cannot leave at once, because C code is below it, another thread takes
its place, and it leaves later: how many threads may be held in that way is bounded.

Threads come from the process's pool for guests, and return to it when no program is ready. Where turns are short, most
of each is the host's own work, which one thread does at a time, as Python has it: a second thread would only have both
wait for one another, so it comes when one of the turns takes long. One more, the clock, ends slices and wakes programs
at the moments that they wait for; it ends, too, when there is nothing to do.
"""

import os
import threading
import time
from collections.abc import Collection, Generator
from contextlib import contextmanager, suppress
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from time import thread_time
from typing import Protocol
from weakref import WeakSet, ref

from cloche.runtime.driving.turns import Turns
from cloche.runtime.errors import BlockedTools, ConfigurationError
from cloche.runtime.machine_api import now
from cloche.runtime.threads import Work, guest_threads

__all__ = ["Program", "Scheduler"]


class Program(Protocol):
    """What a scheduler runs: one program's execution. Nothing here raises."""

    @property
    def account(self) -> str:
        """The account that its computing is charged to."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether it has ended, so that none of the others does anything."""
        ...

    def advance(self) -> bool:
        """On a thread of the scheduler: compute until it ends, waits, or was asked to leave. True in the last case."""
        ...

    def ask(self) -> None:
        """From any thread: have it leave soon, if it computes."""
        ...

    def poke(self) -> None:
        """From any thread: look whether it still has to wait."""
        ...

    def unstick(self) -> bool:
        """From any thread: end it without its thread, if that should be back long since. Returns whether it did."""
        ...


class _Turn:
    """One program's turn on a thread, and why another thread takes that one's place: it waits, or does not leave."""

    __slots__ = (
        "account",
        "blocked",
        "clock",
        "computed",
        "held",
        "hurried",
        "overdue",
        "program",
        "scheduler",
        "since",
        "until",
    )

    def __init__(
        self, program: Program, account: str, scheduler: "Scheduler", clock: int | None, seconds: float
    ) -> None:
        self.program = program
        self.account = account
        self.scheduler = scheduler
        self.since = now()
        self.until = self.since + seconds
        self.clock = clock
        self.computed = thread_time()
        self.blocked = self.overdue = self.held = self.hurried = False

    def is_idle(self, moment: float) -> bool:
        """Return whether its thread does nothing for long: it waits in a function of the user's that should not."""
        if self.clock is None or moment < self.since + _IDLE:
            return False
        return self._used(self.clock) < (moment - self.since) / 100

    def is_late(self, moment: float) -> bool:
        """Return whether it is its own doing that it does not leave: a thread without a core, or the GIL, cannot."""
        return self.clock is None or self._used(self.clock) >= _PATIENCE or self.is_idle(moment)

    def is_over(self, moment: float, seconds: float) -> bool:
        """Return whether it has had the seconds that it has.

        They are seconds of a processor: on a machine that is busy with other things it has them later, within bounds.
        """
        if moment < self.until:
            return False
        last = self.since + _MAX_STRETCH * seconds
        if self.clock is not None and not self.hurried and moment < last:
            self.until = min(last, moment + max(0.0, seconds - self._used(self.clock)))
        return moment >= self.until - _NEARLY

    def so_far(self) -> float:
        """Return the seconds that it has computed, if that is known."""
        return 0.0 if self.clock is None else max(0.0, self._used(self.clock))

    def _used(self, clock: int) -> float:
        return time.clock_gettime(clock) - self.computed


class _Here(threading.local):
    turn: _Turn | None = None


_here = _Here()

# Seconds that a program may take to leave, before another thread takes its place; and between two requests to leave.
_PATIENCE = 0.005
_AGAIN = 0.001
# The part of its slice that a program computes at the least, when one comes that goes before all who wait.
_MIN_PART = 0.1
# Slices in which a program must have had one of a processor, and seconds that are not worth another look.
_MAX_STRETCH, _NEARLY = 3.0, 0.0005
# Seconds of computing up to which turns are short, on an average in which the latest has this part; and seconds after
# which a turn that is in progress is a long one.
_SHORT, _LATEST = 0.001, 0.1
_LONG = 0.002
# Seconds between two looks at programs that compute, while none waits for its turn.
_GLANCE = 0.25
# Seconds after which a thread that has computed for less than a hundredth of them is taken for one that waits.
_IDLE = 0.25
# For each thread that computes, so many that compute for too long: more of them leave the machine to other accounts.
_MAX_OVERDUE = 3
# Seconds without anything to do after which the clock's thread ends.
_LINGER = 2.0
_MAX_THREADS = 256
_FEW_TIMERS = 1_000


class Scheduler:
    """Has programs take turns on a few threads: fairly between accounts, and with no thread for those that wait.

    ``threads`` is how many programs compute at once, by default one for each core that this process may use; ``slice``
    how many seconds one computes while others wait for their turn, by default 0.01; ``max_blocked`` how many more
    threads may be held by programs that wait, or compute for too long, where they cannot leave: by default 512. Beyond
    that such programs keep others waiting.

    A sandbox uses the one that it was given, or else the one that all others share. Safe to use from any thread. It
    needs no closing: its threads end when there is nothing to do.

    Raises ConfigurationError for numbers that none of these can be.
    """

    def __init__(self, threads: int | None = None, *, slice: float = 0.01, max_blocked: int = 512) -> None:
        self._threads = _whole("threads", _cores() if threads is None else threads, 1, _MAX_THREADS)
        self._max_blocked = _whole("max_blocked", max_blocked, 0, 1 << 20)
        self._slice = _number("slice", slice, 0.0005, 3600.0)
        self._begin()
        _schedulers.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._turns: Turns[Program] = Turns(self._slice)
        self._stepping: set[_Turn] = set()
        self._workers = self._held = self._overdue = 0
        # How long turns are on an average; at first nothing is known of them.
        self._pace = _LONG
        # Weakly: a program that is over is not kept until the moment for which it has been here.
        self._timers: list[tuple[float, int, ref[Program]]] = []
        self._max_timers = _FEW_TIMERS
        self._count = count().__next__
        self._clock: threading.Thread | None = None
        self._rouse = threading.Event()
        self._next_look = inf

    @classmethod
    def shared(cls) -> "Scheduler":
        """Return the one that sandboxes use that were given none."""
        if _shared.scheduler is None:
            with _shared.lock:
                if _shared.scheduler is None:
                    _shared.scheduler = cls()
        return _shared.scheduler

    @property
    def threads(self) -> int:
        """How many programs compute at once."""
        return self._threads

    @property
    def ready(self) -> int:
        """How many programs wait for their turn."""
        return len(self._turns)

    @property
    def computing(self) -> int:
        """How many programs have a thread now, blocked ones included."""
        return len(self._stepping)

    @property
    def blocked(self) -> int:
        """How many of them hold a thread beside the others': they wait, or compute for too long, and cannot leave."""
        return self._held

    def set_account(self, name: str, *, weight: float = 1.0, priority: int = 0) -> None:
        """Set an account's share of the time, relative to 1 of the others, and its priority.

        As long as programs of a higher priority are ready, no others get a turn. Raises ConfigurationError.
        """
        name, weight = _text("name", name), _number("weight", weight, 0.001, 1000.0)
        priority = _whole("priority", priority, -1000, 1000)
        with self._lock:
            self._turns.configure(name, weight, priority)

    def remove_account(self, name: str) -> None:
        """Forget an account's settings, and what it has used. Its programs, if there are any, have the defaults then.

        An account needs no other ending: one without settings that has nothing to do is forgotten in time.
        """
        with self._lock:
            self._turns.forget(_text("name", name))

    def usage(self) -> dict[str, float]:
        """Return the seconds of computing that accounts have used, as far as they are remembered.

        Of turns that are in progress what they have computed so far counts, too.
        """
        with self._lock:
            used = self._turns.usage()
            for turn in self._stepping:
                used[turn.account] = used.get(turn.account, 0.0) + turn.so_far()
        return used

    def __repr__(self) -> str:
        return f"<Scheduler {self._threads} threads, {self.computing} programs compute, {self.ready} are ready>"

    # For the layers above.

    def submit(self, program: Program) -> None:
        """Have a program take a turn. Raises BlockedTools, and still keeps it."""
        hurried: Program | None = None
        with self._lock:
            goes_first = self._turns.put(program.account, program, begun=False)
            starts = self._takes_on()
            if goes_first and not starts:
                hurried = self._hurry(program.account)
            late = not starts and self._next_look > self._due()
        if starts:
            self._start_worker()
        elif late:
            self._wind()
        if hurried is not None:
            hurried.ask()

    def _hurry(self, account: str) -> Program | None:
        """Shorten the turn that another account has had for longest; return whom to ask to leave now. With the lock."""
        others = [turn for turn in self._stepping if turn.account != account and not turn.held and not turn.hurried]
        if not others:
            return None
        turn = min(others, key=_since)
        turn.hurried = True
        turn.until = min(turn.until, turn.since + self._slice * _MIN_PART)
        return turn.program if now() >= turn.until else None

    def wake_at(self, moment: float, program: Program) -> None:
        """Poke a program at that moment of ``now``."""
        with self._lock:
            if len(self._timers) >= self._max_timers:
                self._timers = [timer for timer in self._timers if _is_needed(timer[2]())]
                heapify(self._timers)
                self._max_timers = 2 * len(self._timers) + _FEW_TIMERS
            heappush(self._timers, (moment, self._count(), ref(program)))
            late = moment < self._next_look
        if late:
            self._wind()

    # The threads that compute.

    def _takes_on(self) -> bool:
        """Count one thread more, if there is work for it and room. With the lock."""
        room = self._room(now())
        if not self._turns or self._workers - self._held >= room or not self._turns.has_other(self._barred()):
            return False
        self._workers += 1
        return True

    def _room(self, moment: float) -> int:
        """Return how many threads may compute now, beside those that are held. With the lock."""
        if self._pace >= _SHORT:
            return self._threads
        long = [turn for turn in self._stepping if moment - turn.since >= _LONG and not turn.held]
        return min(self._threads, 1 + len(long))

    def _barred(self) -> Collection[str]:
        """Return the accounts that get no more threads: too much of what they have does not leave. With the lock."""
        if self._overdue < _MAX_OVERDUE * self._threads:
            return ()
        return {turn.account for turn in self._stepping if turn.overdue}

    def _start_worker(self) -> None:
        try:
            guest_threads.start(Work(self._serve, _nothing))
        except BaseException:
            with self._lock:
                self._workers -= 1
            raise

    def _serve(self) -> None:
        clock = time.pthread_getcpuclockid(threading.get_ident()) if hasattr(time, "pthread_getcpuclockid") else None
        while True:
            with self._lock:
                turn = self._begin_turn(clock)
                late = self._next_look > (self._due() if turn is None else turn.since + self._glance())
            if late:
                self._wind()
            if turn is None:
                return
            _here.turn = turn
            goes_on = turn.program.advance()
            seconds = thread_time() - turn.computed
            _here.turn = None
            with self._lock:
                self._end_turn(turn, seconds, goes_on=goes_on)
            # Its objects are dropped before more is waited for.
            del turn

    def _begin_turn(self, clock: int | None) -> _Turn | None:
        """Return the next turn for this thread; None if it is one too many, or there is none. With the lock."""
        taken = None
        if self._workers - self._held <= self._room(now()):
            taken = self._turns.take(but_of=self._barred())
        if taken is None:
            self._workers -= 1
            return None
        account, program = taken
        turn = _Turn(program, account, self, clock, self._slice)
        self._stepping.add(turn)
        return turn

    def _end_turn(self, turn: _Turn, seconds: float, *, goes_on: bool) -> None:
        """Charge a turn of so many seconds. With the lock."""
        self._stepping.discard(turn)
        self._overdue -= turn.overdue
        turn.blocked = turn.overdue = False
        self._release(turn)
        self._turns.charge(turn.account, seconds)
        self._pace += _LATEST * (seconds - self._pace)
        if goes_on:
            self._turns.put(turn.account, turn.program, begun=True)

    def _hold(self, turn: _Turn) -> bool:
        """Let another thread take the place of this turn's. Returns whether to start one. With the lock."""
        if not turn.held and self._held < self._max_blocked:
            turn.held = True
            self._held += 1
        return self._takes_on()

    def _release(self, turn: _Turn) -> None:
        if turn.held and not turn.blocked and not turn.overdue:
            turn.held = False
            self._held -= 1

    def _begin_block(self, turn: _Turn) -> None:
        with self._lock:
            # The clock may come too late.
            starts = turn in self._stepping
            if starts:
                turn.blocked = True
                starts = self._hold(turn)
        if starts:
            with suppress(BlockedTools):
                self._start_worker()

    def _end_block(self, turn: _Turn) -> None:
        with self._lock:
            turn.blocked = False
            self._release(turn)

    # The clock.

    def _due(self) -> float:
        """Return when something is to be done about the turns in progress, as others wait for theirs. With the lock."""
        if not self._turns:
            return inf
        if self._workers - self._held < self._threads:
            return min((turn.since + _LONG for turn in self._stepping if not turn.held), default=inf)
        return min((turn.until for turn in self._stepping if not turn.held), default=inf)

    def _glance(self) -> float:
        """Return how many seconds after its beginning a turn is looked at. With the lock."""
        if not self._turns:
            return _GLANCE
        return self._slice if self._workers - self._held >= self._threads else _LONG

    def _wind(self) -> None:
        with self._lock:
            if self._clock is None:
                self._clock = threading.Thread(target=self._run_clock, name="cloche-clock", daemon=True)
                self._clock.start()
        self._rouse.set()

    def _run_clock(self) -> None:
        idle_since = now()
        while True:
            self._rouse.clear()
            wait = self._tick()
            if wait < inf:
                idle_since = now()
            self._rouse.wait(min(wait, _LINGER))
            if now() - idle_since >= _LINGER and self._stop_clock():
                return

    def _stop_clock(self) -> bool:
        with self._lock:
            if self._stepping or self._timers or self._rouse.is_set():
                return False
            self._clock, self._next_look = None, inf
            return True

    def _tick(self) -> float:
        """Do what is due, and return for how many seconds nothing will be."""
        moment = now()
        with self._lock:
            due: list[ref[Program]] = []
            while self._timers and self._timers[0][0] <= moment:
                due.append(heappop(self._timers)[2])
            asked, late, look = self._look_at_turns(moment)
            if self._timers:
                look = min(look, self._timers[0][0])
            starts = self._takes_on()
            if self._turns and self._workers - self._held < self._threads:
                look = min([look, *(turn.since + _LONG for turn in self._stepping if turn.since + _LONG > moment)])
            self._next_look = look
            for turn in () if starts else late:
                if turn.is_idle(moment):
                    turn.blocked = True
                else:
                    self._overdue += 1
                    turn.overdue = True
                starts = self._hold(turn)
                if starts:
                    break
            computing = list(self._stepping)
        if starts:
            with suppress(BlockedTools):
                self._start_worker()
        for found in due:
            waiting = found()
            if waiting is not None:
                waiting.poke()
        for program in asked:
            program.ask()
        for turn in computing:
            if turn.program.unstick():
                # Its thread may never come back.
                self._begin_block(turn)
        return 0.0 if starts else max(0.0, look - now())

    def _look_at_turns(self, moment: float) -> tuple[list[Program], list[_Turn], float]:
        """Return whom to ask to leave, who has not done so in time, and when to look again. With the lock."""
        asked: list[Program] = []
        late: list[_Turn] = []
        look = inf
        for turn in self._stepping:
            if not self._turns:
                look = min(look, moment + _GLANCE)
            elif not turn.is_over(moment, self._slice):
                look = min(look, turn.until)
            else:
                asked.append(turn.program)
                # Less often the longer it takes.
                passed = moment - turn.until
                look = min(look, moment + min(_GLANCE, max(_AGAIN, passed / 4)))
                if passed >= _PATIENCE and not turn.held and turn.is_late(moment):
                    late.append(turn)
        return asked, late, look


@contextmanager
def standing_in() -> Generator[None]:
    """While this is entered another thread takes the place of this one, if it is a scheduler's: it is about to wait."""
    turn = _here.turn
    if turn is None or turn.blocked:
        yield
        return
    turn.scheduler._begin_block(turn)  # pyright: ignore[reportPrivateUsage]
    try:
        yield
    finally:
        turn.scheduler._end_block(turn)  # pyright: ignore[reportPrivateUsage]


class _Shared:
    scheduler: Scheduler | None = None
    lock = threading.Lock()


_shared = _Shared()
_schedulers: WeakSet[Scheduler] = WeakSet()


def _forget() -> None:
    """After a fork, the child has none of the threads."""
    for scheduler in list(_schedulers):
        scheduler._begin()  # pyright: ignore[reportPrivateUsage]
    _shared.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _since(turn: _Turn) -> float:
    return turn.since


def _is_needed(program: Program | None) -> bool:
    return program is not None and not program.is_over


def _nothing() -> None:
    pass


def _cores() -> int:
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, _MAX_THREADS)


def _whole(field: str, number: object, minimum: int, maximum: int) -> int:
    if type(number) is not int or not minimum <= number <= maximum:
        raise ConfigurationError(field, f"{number!r:.60} is not an integer from {minimum} to {maximum}")
    return number


def _number(field: str, number: object, minimum: float, maximum: float) -> float:
    if (type(number) is not float and type(number) is not int) or not minimum <= number <= maximum:
        raise ConfigurationError(field, f"{number!r:.60} is not a number from {minimum} to {maximum}")
    return float(number)


def _text(field: str, text: object) -> str:
    if not isinstance(text, str):
        raise ConfigurationError(field, f"a {type(text).__name__} is not a name: pass a str")
    return text
