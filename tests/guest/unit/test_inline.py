"""Threads, executors, processes, input and absent modules: what works inline, and what says why not."""

import builtins
import concurrent.futures
import concurrent.futures.thread
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.guest.unit.conftest import Guest

Keep = Callable[[Any], None]


@pytest.fixture
def inline(keep: Keep) -> None:
    from cloche_guest.unsupported import threads as inline

    keep(concurrent.futures)
    keep(concurrent.futures.thread)
    inline.install_executors()


@pytest.fixture
def no_threads(keep: Keep) -> None:
    from cloche_guest.unsupported import threads

    keep(threading.Thread)
    keep(threading.Condition)
    keep(queue)
    threads.install()


@pytest.mark.usefixtures("inline")
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


@pytest.mark.usefixtures("inline")
def test_a_pool_keeps_exceptions_in_the_future(guest: "Guest") -> None:
    code = "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor()\nf = pool.submit(int, 'x')\n"
    assert guest.run(code + "type(f.exception()).__name__, f.done(), f.cancel()") == ("ValueError", True, False)
    assert guest.fail("f.result()")["type"] == "ValueError"
    assert guest.run("import sys\ntype(pool.submit(sys.exit).exception()).__name__") == "SystemExit"


@pytest.mark.usefixtures("inline")
def test_a_pools_life(guest: "Guest") -> None:
    code = "from concurrent.futures import ThreadPoolExecutor\nseen = []\n"
    assert guest.run(code + "p = ThreadPoolExecutor(2, 'name', seen.append, ('started',))\np.shutdown()\nseen") == [
        "started"
    ]
    assert guest.fail("p.submit(print)")["message"] == "cannot schedule new futures after shutdown"
    assert guest.fail("ThreadPoolExecutor(0)")["type"] == "ValueError"


@pytest.mark.usefixtures("inline")
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


@pytest.mark.usefixtures("inline")
def test_process_pools_say_why_not(guest: "Guest") -> None:
    error = guest.fail("import concurrent.futures\nconcurrent.futures.ProcessPoolExecutor(2)")
    assert error["type"] == "OSError"
    assert "ThreadPoolExecutor" in error["message"]


@pytest.mark.usefixtures("no_threads")
@pytest.mark.parametrize("make", ["threading.Thread(target=print)", "threading.Timer(1, print)"])
def test_threads_say_why_not(guest: "Guest", make: str) -> None:
    error = guest.fail(f"import threading\n{make}.start()")
    assert error["type"] == "RuntimeError"
    assert error["message"].startswith("threads are not available in this sandbox: use asyncio")


@pytest.mark.usefixtures("no_threads")
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


@pytest.mark.usefixtures("no_threads")
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


@pytest.fixture
def refusals(keep: Keep) -> None:
    from cloche_guest.unsupported import processes as refusals

    keep(subprocess.Popen)
    keep(builtins)
    refusals.install()


@pytest.mark.usefixtures("refusals")
@pytest.mark.parametrize(
    "call",
    ["subprocess.run(['ls'])", "subprocess.Popen('ls', shell=True)", "subprocess.check_output('ls')", "os.popen('ls')"],
)
def test_processes_say_why_not(guest: "Guest", call: str) -> None:
    error = guest.fail(f"import os, subprocess\n{call}")
    assert error["type"] == "OSError"
    assert "processes are not available in this sandbox" in error["message"]


@pytest.mark.usefixtures("refusals")
def test_input_says_why_not(guest: "Guest") -> None:
    error = guest.fail("input('name? ')")
    assert error["type"] == "EOFError"
    assert "no standard input" in error["message"]


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    from cloche_guest.unsupported import reasons as absent
    from cloche_guest.unsupported.reasons import ABSENT, BLOCKED

    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "modules", sys.modules)
    for name in [name for name in sys.modules if name.partition(".")[0] in {**ABSENT, **BLOCKED}]:
        monkeypatch.delitem(sys.modules, name)
    absent.install()


@pytest.mark.usefixtures("absent")
@pytest.mark.parametrize(
    "name", ["ctypes", "multiprocessing", "tkinter", "curses", "ssl", "multiprocessing.pool", "pip"]
)
def test_blocked_modules_say_why(guest: "Guest", name: str) -> None:
    error = guest.fail(f"import {name}")
    assert error["type"] == "ModuleNotFoundError"
    assert "in this sandbox" in error["message"]


@pytest.mark.usefixtures("absent")
def test_a_blocked_module_is_an_import_error(guest: "Guest") -> None:
    assert guest.run("try:\n    import ssl\nexcept ImportError as e:\n    name = e.name\nname") == "ssl"


@pytest.mark.usefixtures("absent")
def test_other_imports_are_as_ever(guest: "Guest") -> None:
    assert guest.fail("import no_such_module_at_all")["message"] == "No module named 'no_such_module_at_all'"
    assert guest.run("import colorsys\ncolorsys.rgb_to_hsv(0, 0, 0)") == (0.0, 0.0, 0)


def test_reasons_for_packages_come_last(guest: "Guest", monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    from cloche_guest.unsupported.reasons import Absent

    monkeypatch.setattr(
        sys, "meta_path", [*sys.meta_path, Absent({"httpx_of_the_test": "no network", "here_too": "no"})]
    )
    (tmp_path / "here_too.py").write_text("value = 1")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert guest.run("import here_too\nhere_too.value") == 1
    assert guest.fail("import httpx_of_the_test")["message"] == "No module named 'httpx_of_the_test': no network"
