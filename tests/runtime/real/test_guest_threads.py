"""Threads of a program beside all else that can happen to it: calls, approvals, snapshots, forks and pauses."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cloche import Limits, Sandbox, Session, Suspended, tool

IMPORTS = "import queue, threading, time\nfrom concurrent.futures import ThreadPoolExecutor\nout = []\n"
_together = threading.Barrier(3, timeout=60)


@tool
def meet(x: int) -> int:
    """Wait until three calls of this are running."""
    _together.wait()
    return x * 10


@tool(approval=True)
def ask(x: int) -> int:
    """Need an approval."""
    return x * 10


BOX = Sandbox(tools=[meet, ask], limits=Limits(fuel=3_000_000_000))
EACH = """
def work(i): out.append({call}(i))
ts = [threading.Thread(target=work, args=(i,)) for i in range(3)]
for t in ts: t.start()
for t in ts: t.join()
sorted(out)
"""


@pytest.fixture
def session() -> Iterator[Session]:
    with BOX.session() as session:
        yield session


@pytest.mark.parametrize(
    "program",
    [
        EACH.format(call="meet"),
        "with ThreadPoolExecutor(3) as pool: out = list(pool.map(meet, range(3)))\nout",
        "import asyncio\nawait asyncio.gather(*(asyncio.to_thread(lambda i=i: meet(i)) for i in range(3)))",
        "import multiprocessing.pool\nmultiprocessing.pool.ThreadPool(3).map(meet, range(3))",
    ],
)
def test_calls_of_several_threads_overlap(program: str) -> None:
    assert BOX.run(IMPORTS + program).unwrap() == [0, 10, 20]


def test_a_thread_that_computes_holds_up_no_answer() -> None:
    program = f"{IMPORTS}def work():\n    while not out: pass\nthreading.Thread(target=work).start()\n"
    meets = "with ThreadPoolExecutor(3) as pool: out += pool.map(meet, range(3))\nout"
    assert Sandbox(tools=[meet], limits=Limits(fuel=None)).run(program + meets).unwrap() == [0, 10, 20]


def answered(outcome: Any) -> Any:
    """Approve one call after the other, the last first."""
    while isinstance(outcome, Suspended):
        outcome = outcome.approve(outcome.calls[-1].id)
    return outcome.unwrap()


def test_three_threads_make_one_suspended_program(session: Session) -> None:
    waiting = session.start(IMPORTS + EACH.format(call="ask"))
    assert isinstance(waiting, Suspended)
    assert [(call.name, call.args, call.line) for call in waiting.calls] == [("ask", [i], 5) for i in range(3)]
    snapshot = waiting.snapshot()
    assert answered(waiting) == [0, 10, 20]
    with BOX.restore(snapshot) as restored:
        assert answered(restored.suspended) == [0, 10, 20]


def test_below_built_in_code_such_a_call_says_why_it_cannot_wait(session: Session) -> None:
    work = "def work(): dict.fromkeys(map(lambda i: ask(i), [1]))\n"
    result = session.start(f"{IMPORTS}{work}t = threading.Thread(target=work)\nt.start()\nt.join()")
    assert not isinstance(result, Suspended)
    assert "CannotSuspendHere" in result.stderr + str(result.error)


HELD = """
lock, jobs = threading.Lock(), queue.Queue()
lock.acquire()
def work():
    while (job := jobs.get()) is not None:
        with lock: out.append(job)
t = threading.Thread(target=work)
t.start()
jobs.put(1)
"""


def test_live_threads_survive_snapshot_and_fork(session: Session) -> None:
    assert session.run(IMPORTS + HELD).error is None
    snapshot = session.snapshot()
    (fork,) = session.fork(1)
    with fork, BOX.restore(snapshot) as restored:
        for number, one in enumerate((session, fork, restored)):
            woken = f"jobs.put({number})\nlock.release()\njobs.put(None)\nt.join()\nout, threading.active_count()"
            assert one.run(woken).unwrap() == ([1, number], 1)


def finished(outcome: Any) -> Any:
    """Return the value of a program that is not suspended."""
    assert not isinstance(outcome, Suspended)
    return outcome.unwrap()


COMPUTING = """
counts = [0, 0]
def work(i):
    for _ in range(200_000): counts[i] += 1
ts = [threading.Thread(target=work, args=(i,)) for i in range(2)]
for t in ts: t.start()
for t in ts: t.join()
counts
"""


def test_a_pause_in_a_thread(session: Session) -> None:
    def pause() -> None:
        time.sleep(0.01)
        session.pause(timeout=30)

    pauser = threading.Thread(target=pause)
    pauser.start()
    outcome = session.start(IMPORTS + COMPUTING)
    pauser.join()
    while isinstance(outcome, Suspended):
        with BOX.restore(outcome.snapshot()) as restored:
            moved = restored.suspended
            assert moved is not None
            assert finished(moved.resume()) == [200_000, 200_000]
        outcome = outcome.resume()
    assert finished(outcome) == [200_000, 200_000]


def test_threads_cost_a_program_without_them_nothing(session: Session) -> None:
    loop = "for i in range(1000): pass"
    before = session.run(loop).usage.fuel or 0
    session.run(f"{IMPORTS}threading.Thread(target=print).start()").unwrap()
    assert (session.run(loop).usage.fuel or 0) <= before * 1.01
