"""Many guests on many threads at once: none sees another's state, and each gets its own error."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cloche.runtime.errors import (
    CallsExceeded,
    FuelExhausted,
    GuestException,
    Interrupted,
    MemoryExceeded,
    OutputExceeded,
    ProtocolError,
    StackOverflow,
    TimeExceeded,
)
from cloche.runtime.limits import Limits
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.session import Session

from .functions import Functions

PATIENCE = 120.0

BAD = [
    ("while True: pass", FuelExhausted),
    ("import time\ntime.sleep(60)", TimeExceeded),
    ("x = bytearray(1 << 30)", MemoryExceeded),
    ("while True: print('x' * 1000)", OutputExceeded),
    ("while True: who(0)", CallsExceeded),
    ("t = ()\nfor _ in range(60_000): t = (t,)\nhash(t)", StackOverflow),
    ("import _cloche\n_cloche.call(b'forged')", ProtocolError),
    ("1 / 0", GuestException),
]
LIMITS = Limits(fuel=300_000_000, time=PATIENCE, output=20_000, calls=50)


def each(count: int, work: Callable[[int], Any]) -> list[Any]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count), timeout=PATIENCE))


def test_sessions_of_one_sandbox_stay_apart() -> None:
    def who(n: int) -> int:
        return n

    box = Sandbox(tools=Functions(who), limits=LIMITS.replace(fuel=None, time=PATIENCE, calls=None))

    def live(number: int) -> None:
        with box.session() as session:
            session.run(f"import os\nme = {number}\nopen('me', 'w').write('{number}')").unwrap()
            for turn in range(12):
                code, kind = BAD[(number + turn) % len(BAD)]
                # Computing may take any time where many threads share a core; sleeping must end early.
                limits = LIMITS.replace(time=0.3) if kind is TimeExceeded else LIMITS
                assert isinstance(session.run("me = None\n" + code, limits=limits).error, kind)
                if kind is GuestException:
                    # An ordinary exception undoes nothing.
                    session.set("me", number)
                seen = session.run("(who(me), open('me').read(), os.listdir())").unwrap()
                assert seen == (number, str(number), ["me"])
                assert box.run("'me' in globals()").unwrap() is False

    each(8, live)


def test_sandboxes_have_their_own_tools_and_limits() -> None:
    def make(number: int) -> Sandbox:
        def who() -> int:
            return number

        return Sandbox(
            tools=Functions(who), limits=Limits(output=100 + number), metering="fuel" if number % 2 else "epoch"
        )

    def live(number: int) -> None:
        box = make(number)
        for _ in range(25):
            assert box.run("who()").unwrap() == number
            error = box.run("print('x' * 1000)").error
            assert isinstance(error, OutputExceeded)
            assert error.limit == 100 + number

    each(8, live)


def test_exceptions_of_tools_are_never_swapped() -> None:
    def fail(number: int) -> None:
        raise ValueError(f"number {number}")

    box = Sandbox(tools=Functions(fail), limits=Limits(calls=None))

    def live(number: int) -> None:
        with box.session() as session:
            code = f"texts = set()\nfor i in range(100):\n  try: fail({number})\n"
            code += "  except ValueError as e: texts.add(str(e))\ntexts"
            for _ in range(5):
                assert session.run(code).unwrap() == {f"number {number}"}

    each(8, live)


def test_interrupts_reach_only_their_own_session() -> None:
    box = Sandbox(limits=Limits(fuel=None, time=PATIENCE))
    stop = threading.Event()

    def victim(session: Session) -> int:
        ended = 0
        while not stop.is_set():
            error = session.run("while True: pass").error
            assert isinstance(error, Interrupted)
            ended += 1
        return ended

    def neighbour() -> None:
        with box.session() as session:
            session.run("total = 0")
            for turn in range(30):
                assert session.run("total += sum(range(20_000))\ntotal").unwrap() == 199_990_000 * (turn + 1)

    with box.session() as session, ThreadPoolExecutor(4) as pool:
        runs = pool.submit(victim, session)
        neighbours = [pool.submit(neighbour) for _ in range(3)]
        while not all(each.done() for each in neighbours):
            session.interrupt()
            stop.wait(0.005)
        stop.set()
        while not runs.done():
            session.interrupt()
            threading.Event().wait(0.005)
        for done in neighbours:
            done.result(PATIENCE)
        assert runs.result(PATIENCE) > 0


@pytest.mark.parametrize("size", [256 << 10, 1 << 20])
def test_a_thread_with_a_small_stack_is_not_overrun(size: int) -> None:
    box = Sandbox()
    results: list[Any] = []
    code = "t = ()\nfor _ in range(60_000): t = (t,)\nhash(t)"
    before = threading.stack_size(size)
    try:
        thread = threading.Thread(target=lambda: results.extend([box.run("6 * 7").value, box.run(code).error]))
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join(PATIENCE)
    assert results[0] == 42
    assert isinstance(results[1], StackOverflow)


def test_a_deeply_nested_caller() -> None:
    box = Sandbox()

    def nested(depth: int) -> Any:
        return box.run("6 * 7").unwrap() if depth == 0 else nested(depth - 1)

    assert nested(800) == 42
