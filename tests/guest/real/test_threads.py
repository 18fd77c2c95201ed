"""Threads that take turns: usual programs give what they give elsewhere, and deadlocks say who waits where."""

from typing import Any

import pytest

from cloche.runtime.errors import FuelExhausted, GuestException
from cloche.runtime.limits import Limits
from cloche.runtime.sandbox import Sandbox

BOX = Sandbox(limits=Limits(fuel=2_000_000_000))
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
    assert BOX.run(f"{IMPORTS}Thread(target=print, args=('ran',)).start()\nprint('main')").stdout == "ran\nmain\n"
    program = f"{IMPORTS}Thread(target=lambda: (time.sleep(0.001), print('ran'))).start()\nprint('main')"
    assert BOX.run(program).stdout == "main\nran\n"
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


def test_taking_turns() -> None:
    program = """
turn, change = [0], threading.Condition()
def play(me):
    for _ in range(3):
        with change:
            change.wait_for(lambda: turn[0] == me)
            out.append(me)
            turn[0] = 1 - me
            change.notify_all()
ts = [Thread(target=play, args=(i,)) for i in (0, 1)]
for t in ts: t.start()
for t in ts: t.join()
out
"""
    assert value(program) == [0, 1, 0, 1, 0, 1]


def test_workers_that_wait_first_and_end_by_a_sentinel_each() -> None:
    program = """
jobs = queue.Queue()
def work():
    while (item := jobs.get()) is not None:
        out.append(item)
        jobs.task_done()
    jobs.task_done()
ts = [Thread(target=work) for _ in range(3)]
for t in ts: t.start()
for i in range(10): jobs.put(i)
jobs.join()
for _ in ts: jobs.put(None)
jobs.join()
for t in ts: t.join()
sorted(out), threading.active_count()
"""
    assert value(program) == (list(range(10)), 1)


BUSY = {
    "a worker": "work = lambda: [None for _ in range(30_000)] and out.append(1)",
    "a sleeper": "work = lambda: (time.sleep(0.01), out.append(1))",
}


@pytest.mark.parametrize("work", BUSY.values(), ids=BUSY)
@pytest.mark.parametrize("below", ["while not out: pass", "dict.fromkeys(map(wait, [1]))"])
def test_a_loop_that_only_looks_lets_others_run(work: str, below: str) -> None:
    program = (
        f"{work}\ndef wait(_):\n    while not out: pass\nt = Thread(target=work)\nt.start()\n{below}\nt.join()\nout"
    )
    assert value(program) == [1]


POOLS = {
    "as completed": "sorted(f.result() for f in as_completed([pool.submit(pow, i, 2) for i in range(4)]))",
    "map, which the main thread waits for below C code": "list(pool.map(lambda i: i * i, range(4)))",
    "producer and consumer": """
q = queue.Queue()
def consume():
    return list(iter(q.get, None))
def produce():
    for item in (0, 1, 4, 9, None): q.put(item)
taken = pool.submit(consume)
pool.submit(produce)
taken.result()
""",
    "nested": "(lambda f: [f.result()() for f in [f]][0])(pool.submit(lambda: lambda: [0, 1, 4, 9]))",
}


@pytest.mark.parametrize("program", POOLS.values(), ids=POOLS)
def test_executors(program: str) -> None:
    start = "from concurrent.futures import ThreadPoolExecutor, as_completed\npool = ThreadPoolExecutor(2)\n"
    assert value(start + program) == [0, 1, 4, 9]


def test_asyncio_beside_threads() -> None:
    program = """
import asyncio, contextvars
var = contextvars.ContextVar("var")
def work(x):
    time.sleep(0.001)
    return x, var.get(), threading.current_thread() is not threading.main_thread()
async def answer(x):
    await asyncio.sleep(0.001)
    return x + 1
async def main():
    loop = asyncio.get_running_loop()
    var.set(5)
    Thread(target=lambda: out.append(asyncio.run_coroutine_threadsafe(answer(1), loop).result())).start()
    results = await asyncio.gather(*(asyncio.to_thread(work, i) for i in range(2)))
    while not out:
        await asyncio.sleep(0.001)
    return results, out, await loop.run_in_executor(None, abs, -3)
asyncio.run(main())
"""
    assert value(program) == ([(0, 5, True), (1, 5, True)], [2], 3)


def test_an_event_loop_in_a_thread() -> None:
    program = """
import asyncio
loop = asyncio.new_event_loop()
t = Thread(target=loop.run_forever)
t.start()
async def answer(x):
    await asyncio.sleep(0.001)
    return x + 1
got = asyncio.run_coroutine_threadsafe(answer(4), loop).result(timeout=5)
loop.call_soon_threadsafe(loop.stop)
t.join()
got
"""
    assert value(program) == 5


@pytest.mark.parametrize(
    ("program", "named"),
    [
        (
            """
a, b = threading.Lock(), threading.Lock()
def work(x, y):
    with x:
        time.sleep(0.001)
        with y: pass
ts = [Thread(target=work, args=p, name=f"w{i}") for i, p in enumerate([(a, b), (b, a)])]
for t in ts: t.start()
for t in ts: t.join()
""",
            ["MainThread at line 12", "w0 at line 9", "w1 at line 9"],
        ),
        (
            "t = Thread(target=queue.Queue().get, name='w')\nt.start()\ndict.fromkeys(map(lambda t: t.join(), [t]))",
            ["MainThread at line 6 of <run 1>, below built-in code", "w"],
        ),
    ],
)
def test_a_deadlock_names_threads_and_lines(program: str, named: list[str]) -> None:
    error = BOX.run(IMPORTS + program).error
    assert isinstance(error, GuestException)
    assert (error.type_name, error.message[:41]) == ("RuntimeError", "deadlock: every thread waits for another:")
    assert [part for part in named if part not in error.message] == []


def test_a_thread_that_waits_without_an_end_is_an_error_of_the_last_program() -> None:
    program = f"{IMPORTS}def work(): queue.Queue().get()\nThread(target=work, name='w').start()\nprint('over')"
    result = BOX.run(program)
    assert isinstance(result.error, GuestException)
    assert "these of its threads wait without an end: w at line 4" in result.error.message
    assert result.stdout == "over\n"
    assert BOX.run(program.replace("name='w'", "daemon=True")).error is None


def test_in_a_session_such_a_thread_stays_and_the_result_says_so() -> None:
    with BOX.session() as session:
        result = session.run(
            f"{IMPORTS}q = queue.Queue()\ndef work(): out.append(q.get())\nThread(target=work).start()"
        )
        assert result.error is None
        assert "these threads wait, and stay: Thread-1 (work) at line 5" in result.stderr
        assert session.run("q.put(3)").stderr == ""
        assert session.run("out, threading.active_count()").unwrap() == ([3], 1)


def test_what_a_failed_program_has_started_still_does_what_it_can() -> None:
    result = BOX.run(f"{IMPORTS}Thread(target=lambda: (time.sleep(0.001), print('ran'))).start()\n1 / 0")
    assert isinstance(result.error, GuestException)
    assert (result.error.type_name, result.stdout) == ("ZeroDivisionError", "ran\n")


def test_at_most_512_threads() -> None:
    program = """
go = threading.Event()
ts = [Thread(target=lambda i=i: (go.wait(), out.append(i))) for i in range(511)]
for t in ts: t.start()
try: Thread(target=print).start()
except RuntimeError as error: said = str(error)
go.set()
for t in ts: t.join()
t = Thread(target=out.append, args=(-1,))
t.start()
t.join()
said, sorted(out) == list(range(-1, 511)), threading.active_count()
"""
    assert value(program) == ("can't start new thread: there are 512 already", True, 1)


def test_a_thread_that_never_ends() -> None:
    endless = f"{IMPORTS}def work():\n    while True: pass\nThread(target=work, daemon=%s).start()\nprint('over')"
    result = BOX.run(endless % False)
    assert (result.stdout, type(result.error)) == ("over\n", FuelExhausted)
    assert BOX.run(endless % True).error is None


INTERRUPTED = {
    "waits for a lock": "lock.acquire()\nthreading.Timer(0.001, interrupt_main).start()\nwith lock: pass",
    "sleeps": "threading.Timer(0.001, interrupt_main).start()\ntime.sleep(60)",
    "computes": "threading.Timer(0.001, interrupt_main).start()\nwhile True: pass",
    "itself": "interrupt_main()\nwhile True: pass",
}


@pytest.mark.parametrize("program", INTERRUPTED.values(), ids=INTERRUPTED)
def test_a_keyboard_interrupt_reaches_the_main_thread(program: str) -> None:
    error = BOX.run(f"{IMPORTS}from _thread import interrupt_main\nlock = threading.Lock()\n{program}").error
    assert isinstance(error, GuestException)
    assert error.type_name == "KeyboardInterrupt"


def test_a_handler_that_does_not_raise_leaves_the_wait() -> None:
    program = """
import signal, _thread
signal.signal(signal.SIGINT, lambda *_: out.append(threading.current_thread().name))
lock = threading.Lock()
lock.acquire()
def work():
    _thread.interrupt_main()
    time.sleep(0.001)
    out.append("released")
    lock.release()
Thread(target=work).start()
with lock: out.append("taken")
out
"""
    assert value(program) == ["MainThread", "released", "taken"]


def test_what_a_thread_keeps_for_itself() -> None:
    program = """
import contextvars, decimal, sys
var = contextvars.ContextVar("var", default=0)
own = threading.local()
def work(i):
    var.set(i)
    own.x = i
    decimal.getcontext().prec = 5 + i
    try:
        try: raise ValueError(i)
        except ValueError:
            time.sleep(0.001)
            seen = sys.exc_info()[1].args
    finally:
        out.append((i, var.get(), own.x, decimal.getcontext().prec, seen))
def deep(n): return n and deep(n - 1)
def recurse():
    try: deep(10**6)
    except RecursionError: out.append("deep")
ts = [Thread(target=work, args=(i,)) for i in (1, 2)] + [Thread(target=recurse)]
for t in ts: t.start()
for t in ts: t.join()
sorted(out, key=str), var.get(), hasattr(own, "x"), sys.exc_info()[1], decimal.getcontext().prec
"""
    assert value(program) == ([(1, 1, 1, 6, (1,)), (2, 2, 2, 7, (2,)), "deep"], 0, False, None, 28)


def test_a_destructor_may_wait() -> None:
    program = """
lock = threading.Lock()
own = threading.local()
class Slow:
    def __del__(self):
        with lock: out.append("let go")
def work(): own.x = Slow()
lock.acquire()
t = Thread(target=work)
t.start()
time.sleep(0.001)
lock.release()
t.join()
out
"""
    assert value(program) == ["let go"]


def test_the_same_seed_gives_the_same_turns() -> None:
    program = """
import random
def work(i):
    for _ in range(2_000):
        if random.random() < 0.01: out.append(i)
ts = [Thread(target=work, args=(i,)) for i in range(4)]
for t in ts: t.start()
for t in ts: t.join()
out
"""
    runs = [Sandbox(seed=7, clock=0.0).run(IMPORTS + program) for _ in range(3)]
    assert len({(str(run.unwrap()), run.usage.fuel) for run in runs}) == 1


FORGED = [
    "(1, 0.001)",
    "('key', 'no time')",
    "()",
    "(1, 10, None)",
    "(object(), None, True)",
    "b'\\x93\\x00\\x01\\xc0'",
]


@pytest.mark.parametrize("request_", FORGED)
def test_forged_requests_harm_only_the_program(request_: str) -> None:
    with Sandbox(limits=Limits(fuel=2_000_000_000, time=5)).session() as session:
        beside = f"{IMPORTS}import _cloche\nThread(target=time.sleep, args=(0.001,)).start()\n"
        session.run(f"{beside}_cloche.suspend({request_})")
    assert value("Thread(target=out.append, args=(1,)).start()\ntime.sleep(0.001)\nout") == [1]


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


def test_signals_that_threads_send_are_handled_by_the_main_one_and_no_wake_up_is_lost() -> None:
    program = """
import os, signal
for number in (signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, lambda number, _: out.append((signal.Signals(number).name, threading.current_thread().name)))
lock = threading.Lock()
lock.acquire()
def work():
    os.kill(os.getpid(), signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR2)
    lock.release()
worker = Thread(target=work)
worker.start()
with lock: pass
def send():
    for _ in range(50): signal.raise_signal(signal.SIGUSR1)
worker = Thread(target=send)
worker.start()
worker.join()
sorted(set(out))
"""
    assert value(program) == [("SIGUSR1", "MainThread"), ("SIGUSR2", "MainThread")]
