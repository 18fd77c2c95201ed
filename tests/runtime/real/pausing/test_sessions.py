"""Pausing a session's program from another thread: resumed, snapshotted, forked, restored, rolled back, recorded."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from cloche import (
    CannotPause,
    ConfigurationError,
    FuelExhausted,
    Limits,
    NotSuspended,
    Recorder,
    Result,
    Sandbox,
    Session,
    SessionSuspended,
    Suspended,
    replay,
    tool,
)

LONG = "total = 0\nfor i in range(300_000):\n    total += i % 7\ntotal"
VALUE = sum(i % 7 for i in range(300_000))
BOX = Sandbox(limits=Limits(fuel=None, time=None))
ELSEWHERE = """
import sys
from cloche import Limits, Sandbox

with Sandbox(limits=Limits(fuel=None, time=None)).restore(sys.stdin.buffer.read()) as session:
    result = session.suspended.resume()
    print(result.value, result.usage.fuel, session.run("total").unwrap())
"""
ENDLESS = "n = 0\nwhile True:\n    n += 1"


def paused(session: Session, code: str, timeout: float = 30.0) -> Suspended:
    """Start a program on another thread and pause it, again and again until it was not over before."""
    started: list[Any] = []
    running = threading.Thread(target=lambda: started.append(session.start(code)))
    running.start()
    suspended = None
    while suspended is None and running.is_alive():
        suspended = session.pause(timeout)
    running.join()
    assert isinstance(started[0], Suspended), started[0]
    assert suspended is started[0]
    return started[0]


def ended(outcome: "Result[Any] | Suspended") -> Result[Any]:
    assert isinstance(outcome, Result)
    return outcome


def test_another_process_continues_it_with_the_same_fuel() -> None:
    with BOX.session() as session:
        usual = session.run(LONG).usage.fuel
    with BOX.session() as session:
        snapshot = bytes(paused(session, LONG).snapshot())
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    arguments = [sys.executable, "-c", ELSEWHERE]
    done = subprocess.run(arguments, input=snapshot, capture_output=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode()
    value, fuel, total = map(int, done.stdout.split())
    assert (value, total) == (VALUE, VALUE)
    assert fuel == usual


def test_a_paused_program_is_resumed() -> None:
    with BOX.session() as session:
        usual = session.run(LONG).usage.fuel
    with BOX.session() as session:
        suspended = paused(session, LONG)
        assert (suspended.kind, suspended.calls) == ("paused", ())
        assert session.suspended is suspended
        assert repr(suspended) == "<Suspended, paused>"
        result = ended(suspended.resume())
        assert (result.value, result.error) == (VALUE, None)
        assert result.usage.fuel == usual
        assert session.suspended is None
        assert session.run("total").value == VALUE
        with pytest.raises(NotSuspended):
            suspended.resume()


def test_it_can_be_paused_again_and_again() -> None:
    with BOX.session() as session:
        usual = session.run(LONG).usage.fuel
    with BOX.session() as session:
        outcome: Any = paused(session, LONG)
        for _ in range(5):
            resumed: list[Any] = []
            running = threading.Thread(target=lambda now=outcome, to=resumed: to.append(now.resume()))
            running.start()
            session.pause(30.0)
            running.join()
            outcome = resumed[0]
            if isinstance(outcome, Result):
                break
        result = ended(outcome.resume() if isinstance(outcome, Suspended) else outcome)
        assert result.value == VALUE
        assert result.usage.fuel == usual


def test_nothing_else_is_served_meanwhile() -> None:
    with BOX.session() as session:
        suspended = paused(session, LONG)
        for use in (lambda: session.run("1"), lambda: session.get("total"), lambda: session.put_file("a", "b")):
            with pytest.raises(SessionSuspended, match="paused"):
                use()
        with pytest.raises(ConfigurationError, match="paused"):
            suspended.resume({1: 2})
        assert ended(suspended.resume()).value == VALUE


@pytest.mark.parametrize(
    "again",
    [
        lambda suspended: BOX.restore(bytes(suspended.snapshot())),
        lambda suspended: suspended.session.fork(),
        lambda suspended: BOX.restore(bytes(BOX.restore(bytes(suspended.snapshot())).snapshot())),
    ],
    ids=["restored", "forked", "restored twice"],
)
def test_it_continues_elsewhere(again: Callable[[Suspended], Session]) -> None:
    with BOX.session() as session:
        usual = session.run(LONG).usage.fuel
    with BOX.session() as session:
        suspended = paused(session, LONG)
        with again(suspended) as other:
            assert other.suspended is not None
            assert other.suspended.kind == "paused"
            result = ended(other.suspended.resume())
            assert (result.value, result.error) == (VALUE, None)
            assert result.usage.fuel == usual
            # The first request after it gets new random numbers.
            assert other.run("import random; total").value == VALUE
        assert ended(suspended.resume()).value == VALUE


def test_a_snapshot_says_that_it_waits_for_nothing() -> None:
    with BOX.session() as session:
        snapshot = paused(session, LONG).snapshot()
    assert snapshot.is_suspended
    assert snapshot.calls == ()


def test_a_program_that_ends_by_a_limit_after_a_pause_is_rolled_back() -> None:
    box = Sandbox(limits=Limits(fuel=20_000_000_000, time=None))
    with box.session() as session:
        assert session.run("n = 'before'").error is None
        suspended = paused(session, ENDLESS)
        result = ended(suspended.resume())
        assert isinstance(result.error, FuelExhausted)
        assert result.rolled_back
        assert session.run("n").value == "before"


def test_a_paused_step_is_one_step_of_the_journal() -> None:
    box = Sandbox(limits=Limits(fuel=2_000_000_000, time=None))
    code = "import random\nfirst = random.random()\n" + LONG
    with box.session() as session:
        assert ended(paused(session, code).resume()).value == VALUE
        first = session.get("first")
        # The session is made anew: by repeating that program without a pause.
        assert isinstance(session.run("while True: pass").error, FuelExhausted)
        assert session.get("first") == first
        assert session.get("total") == VALUE


def test_a_recording_knows_no_pauses() -> None:
    recorder = Recorder()
    with BOX.session(recorder=recorder) as session:
        assert ended(paused(session, LONG).resume()).value == VALUE
    assert replay(recorder.recording()).runs == 1


def test_cancelling_rolls_back() -> None:
    with BOX.session() as session:
        session.run("total = 'kept'")
        paused(session, ENDLESS).cancel()
        assert session.run("total").value == "kept"


def test_there_may_be_nothing_to_pause() -> None:
    with BOX.session() as session:
        assert session.pause() is None
        session.run("1")
        assert session.pause() is None


def test_a_program_that_waits_for_calls_is_returned() -> None:
    @tool(suspend=True)
    def ask(x: int) -> int:
        """Ask."""
        return x

    with Sandbox(tools=[ask]).session() as session:
        waiting = session.start("ask(1)")
        assert isinstance(waiting, Suspended)
        assert session.pause() is waiting
        assert waiting.kind == "call"
        assert ended(waiting.resume({1: 5})).value == 5


def resume(suspended: Suspended) -> None:
    suspended.resume()


def in_progress(session: Session, run: Callable[[Any], Any], what: Any) -> threading.Thread:
    running = threading.Thread(target=run, args=(what,))
    running.start()
    # A session is taken, too, while its machine is made.
    while session._guest.holder is None:  # pyright: ignore[reportPrivateUsage]
        time.sleep(0.001)
    return running


def test_a_program_of_run_cannot_wait() -> None:
    with BOX.session() as session:
        running = in_progress(session, session.run, ENDLESS)
        with pytest.raises(CannotPause, match=r"session\.start"):
            session.pause()
        session.interrupt()
        running.join()


def test_what_stands_in_the_way_is_named() -> None:
    code = "def slow(rows):\n    return dict.fromkeys(\n        0 for n in rows)\n\nslow(iter(int, 1))"
    with BOX.session() as session:
        running = in_progress(session, session.start, code)
        refused = None
        while refused is None:
            try:
                early = session.pause(0.2)
            except CannotPause as error:
                refused = error
            else:
                # Before it has come there.
                assert early is not None
                running.join()
                running = in_progress(session, resume, early)
        session.interrupt()
        running.join()
    assert "line 2 of <run 1>, in slow" in refused.reason


def test_a_tool_stands_in_the_way() -> None:
    entered, leave = threading.Event(), threading.Event()

    @tool
    def wait() -> int:
        """Wait."""
        entered.set()
        leave.wait(60)
        return 1

    with Sandbox(tools=[wait]).session() as session:
        running = in_progress(session, session.start, "wait()")
        entered.wait(60)
        with pytest.raises(CannotPause, match="the tool 'wait'"):
            session.pause(0.05)
        leave.set()
        running.join()


def test_monotonic_time_stands_still() -> None:
    code = "import time\nstart = time.monotonic()\n" + LONG + "\ntime.monotonic() - start"
    with BOX.session() as session:
        suspended = paused(session, code)
        time.sleep(0.5)
        spent = suspended.usage.wall
        result = ended(suspended.resume())
        assert result.value <= result.usage.wall
        assert spent <= result.usage.wall
