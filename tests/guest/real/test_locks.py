"""Locks in a program that has one thread: a deadlock is an exception, and a timeout is time that passes."""

from typing import Any

import pytest

from cloche.runtime.errors import GuestException
from cloche.runtime.sandbox import Sandbox

BOX = Sandbox()
HELD = "import threading, time\nlock = threading.Lock()\nlock.acquire()\n"
WAITS = {
    "a lock": "lock.acquire()",
    "a with statement": "with lock: pass",
    "a lock of _thread": "import _thread\nraw = _thread.allocate_lock()\nraw.acquire()\nraw.acquire()",
    "a method given to C code": "list(map(lambda _: lock.acquire(), [1]))",
    "a logging handler": "import logging\nhandler = logging.StreamHandler()\nhandler.lock = lock\nhandler.acquire()",
}


def value(program: str, box: Sandbox = BOX) -> Any:
    return box.run(program).unwrap()


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_waiting_for_a_held_lock_raises(wait: str) -> None:
    error = BOX.run(HELD + wait).error
    assert isinstance(error, GuestException)
    assert error.type_name == "RuntimeError"
    assert error.message.startswith("deadlock: the lock is held already")


def test_the_program_may_go_on_and_the_lock_is_still_held() -> None:
    program = """
said = 0
for _ in range(1000):
    try:
        with lock:
            said = None
    except RuntimeError:
        said += 1
held = lock.locked()
lock.release()
with lock:
    pass
said, held, lock.locked()
"""
    assert value(HELD + program) == (1000, True, False)


def test_the_session_is_not_lost() -> None:
    with BOX.session() as session:
        session.run(HELD + "kept = 1").unwrap()
        assert session.run("lock.acquire()").error is not None
        assert session.run("kept, lock.release()").unwrap() == (1, None)


def test_two_tasks_that_wait_for_one_lock_end() -> None:
    program = """
import asyncio
async def work():
    with lock:
        await asyncio.sleep(0)
lock.release()
results = await asyncio.gather(work(), work(), return_exceptions=True)
[type(result).__name__ for result in results]
"""
    assert value(HELD + program) == ["NoneType", "RuntimeError"]


def test_with_a_timeout_the_lock_is_not_acquired_after_that_time() -> None:
    program = "before = time.monotonic()\ngot = lock.acquire(timeout=2)\ngot, 1.9 < time.monotonic() - before"
    assert value(HELD + program, Sandbox(clock=0.0)) == (False, True)
    assert value(HELD + program.replace("timeout=2", "timeout=0.01").replace("1.9 <", "0.009 <")) == (False, True)


def test_without_waiting_nothing_happens() -> None:
    assert value(HELD + "lock.acquire(blocking=False), lock.acquire(timeout=0)") == (False, False)


def test_a_lock_may_be_acquired_again_by_its_owner() -> None:
    assert value("import threading\nlock = threading.RLock()\nlock.acquire(), lock.acquire()") == (True, True)
