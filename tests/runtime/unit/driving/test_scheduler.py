"""Turns on threads, with programs that are none: who is asked to leave, and when."""

import threading
import time
from functools import partial

import pytest

from cloche.runtime.driving import scheduler as scheduling
from cloche.runtime.driving.scheduler import Scheduler
from cloche.runtime.threads import ThreadPool, Work

HANG = 60.0


class Busy:
    """Computes until it is asked to leave, and is then over."""

    is_over = False

    def __init__(self, account: str) -> None:
        self.account = account
        self.begun, self.asked = threading.Event(), threading.Event()

    def advance(self) -> bool:
        self.begun.set()
        self.asked.wait(HANG)
        return False

    def ask(self) -> None:
        self.asked.set()

    def poke(self) -> None:
        pass

    def unstick(self) -> bool:
        return False


class Spinning(Busy):
    """Computes on its thread until then."""

    def advance(self) -> bool:
        while not self.asked.is_set():
            pass
        return False


def test_a_newcomer_does_not_wait_for_a_whole_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "_MIN_PART", 0.0)
    scheduler = Scheduler(1, slice=3600.0)
    first, other, mine = Busy("long"), Busy("short"), Busy("long")
    scheduler.submit(first)
    assert first.begun.wait(HANG)
    scheduler.submit(mine)
    assert not first.asked.is_set(), "its own account's programs wait for its slice to end"
    scheduler.submit(other)
    assert first.asked.wait(HANG)
    assert other.begun.wait(HANG)
    other.ask()
    assert mine.begun.wait(HANG)
    mine.ask()


@pytest.mark.skipif(not hasattr(threading, "get_native_id"), reason="threads have no niceness of their own here")
def test_threads_that_compute_stand_back(monkeypatch: pytest.MonkeyPatch) -> None:
    changed: list[int] = []
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("os.setpriority", lambda which, who, niceness: changed.append(niceness), raising=False)
    monkeypatch.setattr("os.getpriority", lambda which, who: 3, raising=False)
    pool, done = ThreadPool("test"), threading.Event()
    pool.niceness = 5
    pool.start(Work(done.set, lambda: None))
    assert done.wait(HANG)
    assert changed == [8]


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="no thread can read another one's clock here")
def test_what_a_turn_has_computed_so_far_counts() -> None:
    scheduler, program = Scheduler(1), Spinning("busy")
    scheduler.submit(program)
    try:
        until = time.monotonic() + HANG
        while not scheduler.usage().get("busy") and time.monotonic() < until:
            time.sleep(0.001)
        assert scheduler.usage()["busy"] > 0
        assert scheduler.computing == 1
    finally:
        program.ask()


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="no thread can read another one's clock here")
def test_a_slice_is_time_of_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler, program = Scheduler(1, slice=1.0), Busy("idle")
    monkeypatch.setattr(scheduling, "_IDLE", 3600.0)
    make = partial(scheduling._Turn, program, "idle", scheduler)  # pyright: ignore[reportPrivateUsage]
    turn = make(time.pthread_getcpuclockid(threading.get_ident()), 1.0)
    assert not turn.is_over(turn.since + 1.0, 1.0), "it has had next to nothing of it"
    assert turn.since + 1.5 < turn.until <= turn.since + 2.0
    assert turn.is_over(turn.since + 3.0, 1.0), "but it does not keep its thread for ever"
    hurried = make(turn.clock, 1.0)
    hurried.hurried = True
    assert hurried.is_over(hurried.since + 1.0, 1.0)


class Quick(Busy):
    """Is over at once, and notes how many computed with it."""

    def __init__(self, scheduler: Scheduler, seen: list[int]) -> None:
        super().__init__("quick")
        self._scheduler, self._seen = scheduler, seen

    def advance(self) -> bool:
        self._seen.append(self._scheduler.computing)
        self.begun.set()
        return False


def test_short_turns_take_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "_LONG", 0.0)
    scheduler, seen = Scheduler(4), list[int]()
    monkeypatch.setattr(scheduling, "_LONG", 3600.0)
    programs = [Quick(scheduler, seen) for _ in range(100)]
    for program in programs:
        scheduler.submit(program)
    assert all(program.begun.wait(HANG) for program in programs)
    assert set(seen) == {1}


def test_a_turn_that_takes_long_has_others_take_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "_LATEST", 0.0)
    monkeypatch.setattr(scheduling, "_SHORT", 3600.0)
    scheduler = Scheduler(3, slice=3600.0)
    programs = [Busy("same") for _ in range(4)]
    for program in programs:
        scheduler.submit(program)
    assert all(program.begun.wait(HANG) for program in programs[:3])
    assert not programs[3].begun.wait(0.02)
    for program in programs:
        program.ask()
    assert programs[3].begun.wait(HANG)
