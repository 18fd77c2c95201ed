"""A signal whose handler raises, at every line of a session's work: it is raised, and the session stays usable."""

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from cloche import Limits, Result, Sandbox, Session, Suspended, tool
from cloche.runtime.threads import guest_threads, tool_threads
from cloche.runtime.wasm import signals, stack

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends itself POSIX signals")
ALARM = getattr(signal, "SIGALRM", signal.SIGTERM)
# More lines than any of these takes.
MAX_LINES = 5_000
# Of every so many lines one, beginning anywhere: each time others. With CLOCHE_EVERY_LINE set it is all of them.
STEP = 1 if "CLOCHE_EVERY_LINE" in os.environ else 8


class Boom(Exception):
    """What the handler raises: an ordinary exception, which careless code would swallow."""


class Bomb:
    """Sends the signal at the n-th line of the runtime that the main thread runs."""

    def __init__(self) -> None:
        self.fired = False
        self._left = 0
        self._armed = False

    def arm(self, lines: int) -> None:
        self._left, self._armed, self.fired = lines, True, False
        sys.settrace(self._call)

    def disarm(self) -> None:
        sys.settrace(None)
        self._armed = False

    def _call(self, frame: FrameType, event: str, argument: object) -> Any:
        module = str(frame.f_globals.get("__name__"))
        return self._line if self._armed and module.startswith("cloche.") else None

    def _line(self, frame: FrameType, event: str, argument: object) -> Any:
        self._left -= 1
        if self._left == 0 and self._armed:
            self.fired, self._armed = True, False
            signal.raise_signal(ALARM)
        return self._line


@pytest.fixture
def bomb() -> Iterator[Bomb]:
    def handle(number: int, frame: FrameType | None) -> None:
        raise Boom

    before, traced = signal.signal(ALARM, handle), sys.gettrace()
    yield (made := Bomb())
    made.disarm()
    sys.settrace(traced)
    assert signal.getsignal(ALARM) is handle
    signal.signal(ALARM, before)


@tool(blocking=False)
def at_once(x: int) -> int:
    """Add one.

    Args:
        x: A number.
    """
    return x + 1


@tool
def may_block(x: int) -> int:
    """Add one.

    Args:
        x: A number.
    """
    return x + 1


@tool(suspend=True)
def ask(x: int) -> int:
    """Ask.

    Args:
        x: A number.
    """
    raise RuntimeError("is only answered")


def finish(now: Result[Any] | Suspended) -> None:
    while isinstance(now, Suspended):
        now = now.resume({call.id: 1 for call in now.calls})
    now.unwrap()


def lose(session: Session) -> None:
    """Have the guest ended, so that it has to be made again."""
    assert session.run("kept = -1\nwhile True: pass", limits=Limits(fuel=10_000_000)).rolled_back


WORK: dict[str, Callable[[Session], object]] = {
    "a run": lambda session: session.run("kept += 1"),
    "a run that raises": lambda session: session.run("kept += 1\n1 / 0"),
    "a run that computes": lambda session: session.run("kept += 1\nfor i in range(20_000): pass"),
    "a run with output and events": lambda session: session.run(
        "kept += 1\nprint(kept)\nat_once(1)", on_event=lambda event: None
    ),
    "a tool": lambda session: session.run("kept += at_once(0)"),
    "a tool on another thread": lambda session: session.run("kept += may_block(0)"),
    "many tools, so that the next run is handed over": lambda session: session.run(
        "kept += 1\nfor i in range(4): may_block(i)"
    ),
    "tools in the background": lambda session: session.run(
        "import asyncio\nkept += 1\nf = asyncio.to_thread\nawait asyncio.gather(f(may_block, 1), f(at_once, 1))"
    ),
    "a program that waits": lambda session: finish(session.start("kept += ask(1)")),
    "a variable": lambda session: session.set("other", [1, {"a": (2, 3)}]),
    "a file": lambda session: session.put_file("/work/x", b"content"),
    "a snapshot": lambda session: session.snapshot(key=b"k" * 16),
    "a fork": lambda session: session.fork().close(),
}


@pytest.fixture(scope="module")
def box() -> Sandbox:
    return Sandbox(tools=[at_once, may_block, ask], limits=Limits(time=60))


def at_lines(bomb: Bomb, session: Session, work: Callable[[Session], object], step: int = STEP) -> int:
    """Do the work again and again, with the signal at every so many of its lines; return how often it was sent."""
    for lines in range(random.randint(1, step), MAX_LINES, step):
        before = session.run("kept").unwrap()
        raised = False
        bomb.arm(lines)
        try:
            work(session)
        except Boom:
            raised = True
        finally:
            bomb.disarm()
        assert raised == bomb.fired, f"swallowed at line {lines}"
        if session.suspended is not None:
            # Between two parts of the program: it waits still.
            session.suspended.cancel()
        # All of the run, or nothing.
        assert session.run("kept").unwrap() in (before, before + 1), f"at line {lines}"
        if not bomb.fired:
            return lines // step
    raise AssertionError("it never ends")


@pytest.mark.parametrize("name", ["a run", "a tool"])
def test_without_rollback_the_session_ends_or_can_be_used(bomb: Bomb, box: Sandbox, name: str) -> None:
    for lines in range(random.randint(1, STEP), MAX_LINES, STEP):
        with box.session(rollback=False) as session:
            session.run("kept = 0")
            bomb.arm(lines)
            try:
                WORK[name](session)
            except Boom:
                pass
            finally:
                bomb.disarm()
            # Either it was ended, and says so, or it can be used.
            assert "ended" in repr(session) or session.run("kept").unwrap() in (0, 1)
            if not bomb.fired:
                return


@pytest.mark.parametrize("name", WORK)
def test_at_lines_of_all_that_a_session_does(bomb: Bomb, box: Sandbox, name: str) -> None:
    with box.session() as session:
        session.run("kept = 0")
        assert at_lines(bomb, session, WORK[name]) > 5


def test_while_a_guest_that_was_lost_repeats_what_it_has_done(bomb: Bomb, box: Sandbox) -> None:
    with box.session() as session:
        session.run("kept = 0")

        def work(session: Session) -> None:
            session.run("kept += 1")

        for lines in range(random.randint(1, STEP), MAX_LINES, 4 * STEP):
            before = session.run("kept").unwrap()
            lose(session)
            bomb.arm(lines)
            raised = False
            try:
                work(session)
            except Boom:
                raised = True
            finally:
                bomb.disarm()
            assert raised == bomb.fired
            assert session.run("kept").unwrap() in (before, before + 1)
            if not bomb.fired:
                return


def test_from_a_thread_whose_stack_is_too_small(bomb: Bomb, box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "fits", lambda wasm_stack: False)
    with box.session() as session:
        session.run("kept = 0")
        for name in ("a snapshot", "a fork", "a run"):
            at_lines(bomb, session, WORK[name])


def test_at_random_moments(box: Sandbox) -> None:
    """By a timer, so that it also comes inside C: while a guest computes, while a lock is waited for."""
    fired = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal fired
        fired += 1
        raise Boom

    noise, names = random.Random(7), list(WORK)
    previous = signal.signal(ALARM, handle)
    booms = 0
    try:
        with box.session() as session:
            session.run("kept = 0")
            for _ in range(300):
                before = session.run("kept").unwrap()
                work = WORK[noise.choice(names)]
                try:
                    signal.setitimer(signal.ITIMER_REAL, noise.expovariate(1) * 2e-4 + 1e-5)
                    work(session)
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except Boom:
                    booms += 1
                if session.suspended is not None:
                    session.suspended.cancel()
                assert session.run("kept").unwrap() in (before, before + 1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert signal.getsignal(ALARM) is handle
        signal.signal(ALARM, previous)
    assert booms == fired


def test_no_thread_is_left_behind(box: Sandbox) -> None:
    for pool in (guest_threads, tool_threads):
        patience = threading.Event()
        for _ in range(600):
            if not pool.abandoned:
                break
            patience.wait(0.1)
        assert pool.abandoned == 0


def test_the_open_functions_exist() -> None:
    import importlib

    for name in signals.OPEN:
        module, _, function = name.rpartition(".")
        source = importlib.import_module(module)
        owners = [source, *(each for each in vars(source).values() if isinstance(each, type))]
        assert any(hasattr(owner, function) for owner in owners), name
    for prefix in signals.SHUT:
        assert importlib.import_module(prefix.rstrip("."))
