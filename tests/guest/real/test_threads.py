"""Threads that run when the program waits: usual programs give what they give elsewhere, the rest says why not."""

from typing import Any

import pytest

from cloche.runtime.errors import GuestException
from cloche.runtime.sandbox import Sandbox

BOX = Sandbox()
IMPORTS = "import queue, threading, time\nfrom threading import Thread\nout = []\n"

PROGRAMS = {
    "start and join": ("ts = [Thread(target=out.append, args=(i,)) for i in range(4)]", "[0, 1, 2, 3]"),
    "a lock": (
        """
lock = threading.Lock()
def work():
    for _ in range(100):
        with lock: out.append(1)
ts = [Thread(target=work) for _ in range(3)]
""",
        "[1] * 300",
    ),
    "a class of its own": (
        """
class Work(Thread):
    def run(self): out.append(self.name)
ts = [Work(name=f"w{i}") for i in range(2)]
""",
        "['w0', 'w1']",
    ),
    "consumer before producer": (
        """
q = queue.Queue()
def consume():
    while (item := q.get()) is not None: out.append(item)
def produce():
    for item in (1, 2, None): q.put(item)
ts = [Thread(target=consume), Thread(target=produce)]
""",
        "[1, 2]",
    ),
    "a bounded queue": (
        """
q = queue.Queue(1)
def consume():
    while (item := q.get()) is not None: out.append(item)
def produce():
    for item in (1, 2, 3, 4, None): q.put(item)
ts = [Thread(target=produce), Thread(target=consume)]
""",
        "[1, 2, 3, 4]",
    ),
    "daemon workers": (
        """
q = queue.Queue()
def work():
    while True:
        out.append(q.get())
        q.task_done()
for _ in range(2): Thread(target=work, daemon=True).start()
for i in range(5): q.put(i)
q.join()
ts = []
""",
        "[0, 1, 2, 3, 4]",
    ),
    "an event": (
        """
go = threading.Event()
ts = [Thread(target=lambda: (go.wait(), out.append("went")))]
ts.append(Thread(target=go.set))
""",
        "['went']",
    ),
    "a barrier": (
        """
meet = threading.Barrier(3)
ts = [Thread(target=lambda: (meet.wait(), out.append(1))) for _ in range(3)]
""",
        "[1, 1, 1]",
    ),
    "a timer": ("ts = [threading.Timer(0.01, out.append, ['late'])]", "['late']"),
    "own variables": (
        """
own = threading.local()
own.name = "main"
def work(name):
    own.name = name
    out.append((own.name, threading.current_thread().name))
ts = [Thread(target=work, args=(f"n{i}",), name=f"t{i}") for i in range(2)]
def show(): out.append((own.name, threading.current_thread().name))
ts.append(type("Last", (), {"start": lambda s: None, "join": lambda s: show()})())
""",
        "[('n0', 't0'), ('n1', 't1'), ('main', 'MainThread')]",
    ),
    "a heartbeat": (
        """
stop = threading.Event()
def beat():
    while not stop.is_set():
        out.append(1)
        time.sleep(0.005)
Thread(target=beat, daemon=True).start()
time.sleep(0.02)
stop.set()
out[:] = [len(out) > 1]
ts = []
""",
        "[True]",
    ),
}


def value(program: str) -> Any:
    return BOX.run(IMPORTS + program).unwrap()


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_with_threads(name: str) -> None:
    program, wanted = PROGRAMS[name]
    run = "\nfor t in ts: t.start()\nfor t in ts: t.join()\n"
    assert value(f"{program}{run}out == {wanted} or out") is True


def test_a_thread_that_is_not_joined_runs_before_the_program_ends() -> None:
    assert BOX.run(f"{IMPORTS}Thread(target=print, args=('ran',)).start()\nprint('main')").stdout == "main\nran\n"
    with BOX.session() as session:
        session.run(f"{IMPORTS}Thread(target=out.append, args=(1,)).start()")
        assert session.run("out").unwrap() == [1]


def test_an_error_in_a_thread_is_printed_and_ends_only_it() -> None:
    result = BOX.run(f"{IMPORTS}t = Thread(target=lambda: 1 / 0)\nt.start()\nt.join()\nt.is_alive()")
    assert result.unwrap() is False
    assert "Exception in thread Thread-1" in result.stderr
    assert "ZeroDivisionError" in result.stderr


def test_a_program_that_asks_whether_a_thread_is_alive_ends() -> None:
    assert value("t = Thread(target=out.append, args=(1,))\nt.start()\nwhile t.is_alive(): pass\nout") == [1]
    assert value("t = Thread(target=out.append, args=(1,))\nt.start()\nwhile not out: time.sleep(0.01)\nout") == [1]


TURNS = """
turn, change = [0], threading.Condition()
def play(me):
    for _ in range(3):
        with change:
            change.wait_for(lambda: turn[0] == me)
            turn[0] = 1 - me
            change.notify_all()
ts = [Thread(target=play, args=(i,)) for i in (0, 1)]
for t in ts: t.start()
for t in ts: t.join()
"""


@pytest.mark.parametrize("program", [TURNS, "t = Thread(target=queue.Queue().get)\nt.start()\nt.join()"])
def test_threads_that_would_have_to_take_turns_are_an_error(program: str) -> None:
    error = BOX.run(IMPORTS + program).error
    assert isinstance(error, GuestException)
    assert (error.type_name, error.message[:39]) == ("RuntimeError", "deadlock: waiting for another thread, a")
    assert "one inside another" in error.message


def test_started_twice() -> None:
    error = BOX.run(f"{IMPORTS}t = Thread(target=print)\nt.start()\nt.start()").error
    assert isinstance(error, GuestException)
    assert error.message == "threads can only be started once"


def test_multiprocessing_without_processes() -> None:
    program = """
import multiprocessing, multiprocessing.dummy, multiprocessing.pool
from multiprocessing import Pool, Process, cpu_count
with multiprocessing.dummy.Pool(2) as pool:
    first = pool.map(abs, [-1, 2])
with multiprocessing.pool.ThreadPool() as pool:
    rest = pool.starmap(pow, [(2, 3)]), list(pool.imap_unordered(abs, [-5])), pool.apply_async(len, ["abc"]).get()
refused = []
for use in (Pool, Process(target=print).start, multiprocessing.Manager):
    try: use()
    except OSError as error: refused.append("no operating system below it" in str(error))
first, rest, refused, cpu_count()
"""
    assert value(program) == ([1, 2], ([8], [5], 3), [True] * 3, 1)
