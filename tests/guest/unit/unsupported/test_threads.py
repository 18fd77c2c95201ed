"""Executors, and waits for other threads: what works inline, and what ends as a deadlock."""

import _thread
import concurrent.futures
import concurrent.futures.thread
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from cloche_guest.unsupported.threads import install

if TYPE_CHECKING:
    from tests.guest.unit.conftest import Guest

Keep = Callable[[Any], None]


@pytest.fixture
def one_thread(keep: Keep) -> None:
    keep_all = (
        concurrent.futures,
        concurrent.futures.thread,
        threading.Thread,
        threading.Condition,
        queue,
        queue.Queue,
    )
    for owner in (*keep_all, threading, _thread, time):
        keep(owner)
    install()


@pytest.mark.usefixtures("one_thread")
def test_a_pool_runs_in_order(guest: "Guest") -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
order = []
def work(x):
    order.append(x)
    return x * x
with ThreadPoolExecutor(max_workers=4) as pool:
    futures = [pool.submit(work, i) for i in range(3)]
    squares = list(pool.map(work, [10, 20], timeout=5))
results = [f.result(timeout=1) for f in futures]
results, squares, order, sorted(f.result() for f in as_completed(futures)), len(wait(futures).done)
"""
    assert guest.run(code) == ([0, 1, 4], [100, 400], [0, 1, 2, 10, 20], [0, 1, 4], 3)


@pytest.mark.usefixtures("one_thread")
def test_a_pool_keeps_exceptions_in_the_future(guest: "Guest") -> None:
    code = "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor()\nf = pool.submit(int, 'x')\n"
    assert guest.run(code + "type(f.exception()).__name__, f.done(), f.cancel()") == ("ValueError", True, False)
    assert guest.fail("f.result()")["type"] == "ValueError"
    assert guest.run("import sys\ntype(pool.submit(sys.exit).exception()).__name__") == "SystemExit"


@pytest.mark.usefixtures("one_thread")
def test_a_pools_life(guest: "Guest") -> None:
    code = "from concurrent.futures import ThreadPoolExecutor\nseen = []\n"
    assert guest.run(code + "p = ThreadPoolExecutor(2, 'name', seen.append, ('started',))\np.shutdown()\nseen") == [
        "started"
    ]
    assert guest.fail("p.submit(print)")["message"] == "cannot schedule new futures after shutdown"
    assert guest.fail("ThreadPoolExecutor(0)")["type"] == "ValueError"


@pytest.mark.usefixtures("one_thread")
def test_callbacks_and_nested_pools(guest: "Guest") -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
called = []
with ThreadPoolExecutor(1) as pool:
    outer = pool.submit(lambda: pool.submit(lambda: 5).result() + 1)
    outer.add_done_callback(lambda f: called.append(f.result()))
outer.result(), called
"""
    assert guest.run(code) == (6, [6])


@pytest.mark.usefixtures("one_thread")
def test_process_pools_say_why_not(guest: "Guest") -> None:
    error = guest.fail("import concurrent.futures\nconcurrent.futures.ProcessPoolExecutor(2)")
    assert error["type"] == "OSError"
    assert "ThreadPoolExecutor" in error["message"]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    "wait",
    [
        "queue.Queue().get()",
        "queue.SimpleQueue().get()",
        "threading.Event().wait()",
        "threading.Semaphore(0).acquire()",
        "concurrent.futures.Future().result()",
    ],
)
def test_endless_waits_for_another_thread_end(guest: "Guest", wait: str) -> None:
    error = guest.fail(f"import concurrent.futures, queue, threading\n{wait}")
    assert error["type"] == "RuntimeError"
    assert error["message"].startswith("deadlock: waiting for another thread")


@pytest.mark.usefixtures("one_thread")
def test_what_needs_no_waiting_works(guest: "Guest") -> None:
    code = """
import queue, threading
q = queue.Queue()
q.put(1)
event = threading.Event()
event.set()
with threading.Lock(), threading.RLock():
    pass
q.get(), event.wait(), threading.Event().wait(0.001), threading.local() is not None
"""
    assert guest.run(code) == (1, True, False, True)
    assert guest.fail("q.get(timeout=0.001)")["type"] == "Empty"
    assert guest.fail("threading.Condition().wait()")["message"] == "cannot wait on un-acquired lock"
