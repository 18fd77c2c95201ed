"""What programs expect of an operating system: it is there, does the sensible thing, or says why not."""

from typing import Any

import pytest

from cloche.runtime.errors import FuelExhausted, GuestException
from cloche.runtime.limits import Limits
from cloche.runtime.sandbox import Sandbox

BOX = Sandbox()
IMPORTS = "import os, shutil, signal, sys, threading, time\n"


def value(program: str) -> Any:
    return BOX.run(IMPORTS + program).unwrap()


def failure(program: str) -> tuple[str, str]:
    error = BOX.run(IMPORTS + program).error
    assert isinstance(error, GuestException)
    return error.type_name, error.message


@pytest.mark.parametrize(
    ("program", "wanted"),
    {
        "signal.raise_signal(signal.SIGINT)": ("KeyboardInterrupt", ""),
        "os.kill(os.getpid(), signal.SIGTERM)": ("SystemExit", "143"),
        "os.kill(os.getpid(), signal.SIGKILL)": ("SystemExit", "137"),
        "os.abort()": ("SystemExit", "134"),
        "os._exit(3)": ("SystemExit", "3"),
    }.items(),
)
def test_ends_are_typed(program: str, wanted: tuple[str, str]) -> None:
    assert failure(program) == wanted


def test_a_signal_finds_its_handler() -> None:
    program = "got = []\nsignal.signal({0}, lambda *a: got.append(a[0]))\nsignal.raise_signal({0})\ngot == [{0}]"
    assert value(program.format("signal.SIGINT")) is True
    assert value(program.format("signal.SIGTERM")) is True
    assert value("signal.signal(signal.SIGINT, signal.SIG_IGN)\nsignal.raise_signal(signal.SIGINT)\n1") == 1
    assert value("signal.raise_signal(signal.SIGCHLD)\nos.kill(os.getpid(), 0)\n1") == 1


@pytest.mark.parametrize(
    ("program", "reason"),
    {
        "signal.alarm(5)": "alarms are not available in this sandbox",
        "signal.setitimer(0, 1)": "alarms are not available in this sandbox",
        "os.system('ls')": "processes are not available in this sandbox",
        "os.getlogin()": "no users or groups in this sandbox",
        "os.get_terminal_size()": "no terminal or display in this sandbox",
        "os.environ['TZ'] = 'America/New_York'\ntime.tzset()": "time is UTC in this sandbox",
        "shutil.disk_usage('/')": "files are in memory in this sandbox",
        "os.kill(99, 15)": "No such process",
    }.items(),
)
def test_what_is_not_there_says_why(program: str, reason: str) -> None:
    kind, message = failure(program)
    assert kind in ("OSError", "ProcessLookupError")
    assert reason in message


def test_the_sensible_thing() -> None:
    program = """
os.environ['TZ'] = 'UTC'
[
    time.tzset(), signal.alarm(0), os.getuid() == os.geteuid() == os.stat('.').st_uid, os.getppid() > 0,
    time.thread_time() <= time.process_time(), threading.get_native_id() == os.getpid(), os.getloadavg(),
    shutil.get_terminal_size().columns, oct(os.umask(0)),
]
"""
    assert value(program) == [None, 0, True, True, True, True, (0.0, 0.0, 0.0), 80, "0o22"]


def test_a_specification_is_none_and_an_import_says_why() -> None:
    for name in ("numpy", "pandas", "yaml", "PIL", "sklearn", "bs4", "turtle"):
        program = f"import importlib.util\nimportlib.util.find_spec({name!r})"
        assert value(program) is None
        kind, message = failure(f"import {name}")
        assert kind == "ModuleNotFoundError"
        assert message.startswith(f"No module named {name!r}: ")
    assert value("import importlib.util\nimportlib.util.find_spec('json').name") == "json"


@pytest.mark.parametrize(
    "use",
    [
        "import urllib.request; urllib.request.urlopen('https://example.com/data.csv')",
        "import urllib.request; urllib.request.urlopen('http://example.com/data.csv')",
        "import smtplib; smtplib.SMTP('localhost')",
        "import smtplib; smtplib.SMTP_SSL('localhost')",
        "import ftplib; ftplib.FTP('example.com')",
        "import imaplib; imaplib.IMAP4_SSL('example.com')",
        "import xmlrpc.client; xmlrpc.client.ServerProxy('https://example.com').f()",
        "import socketserver; socketserver.TCPServer(('', 80), None)",
        "import http.server; http.server.HTTPServer(('', 80), None)",
        "import wsgiref.simple_server; wsgiref.simple_server.make_server('', 80, None)",
        "import ssl, socket; ssl.create_default_context().wrap_socket(None)",
        "import asyncio; asyncio.run(asyncio.open_connection('example.org', 80))",
    ],
)
def test_the_network_is_imported_and_missing_on_use(use: str) -> None:
    assert "there is no network in this sandbox" in failure(use)[1]


def test_doctest_works() -> None:
    program = '''
def f(x):
    """
    >>> f(1)
    2
    >>> f(2)
    4
    """
    return x + 1
import doctest
doctest.testmod().failed
'''
    result = BOX.run(program)
    assert result.unwrap() == 1
    assert "Expected:\n    4\nGot:\n    3\n" in result.stdout
    assert value("import pdb\npdb.Pdb.__name__") == "Pdb"


def test_input_reads_what_stdin_was_replaced_by() -> None:
    program = "import io\nsys.stdin = io.StringIO('Ann\\nBob')\nnames = [input('Name? '), input()]\nnames"
    result = BOX.run(IMPORTS + program)
    assert (result.unwrap(), result.stdout) == (["Ann", "Bob"], "Name? ")
    assert failure(program + "\ninput()") == ("EOFError", "EOF when reading a line")
    result = BOX.run("input('Name? ')")
    assert "no standard input" in str(result.error)
    assert result.stdout == "Name? "


WRAPPED = "sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')"


def test_the_streams_by_their_other_names_are_the_same() -> None:
    result = BOX.run("import sys\nprint('a', end='')\nprint('b', file=sys.__stdout__)\nprint('c', file=sys.__stderr__)")
    assert (result.stdout, result.stderr) == ("ab\n", "c\n")
    assert BOX.run("import sys\n(sys.stdout is sys.__stdout__, sys.stdin is sys.__stdin__)", stdin="x").unwrap() == (
        True,
        True,
    )
    with BOX.session() as session:
        swapped = (
            "import io, sys\nsys.stdout = io.StringIO()\nprint('lost')\nsys.stdout = sys.__stdout__\nprint('seen')"
        )
        assert session.run(swapped).stdout == "seen\n"
        assert session.run("input()", stdin="one").unwrap() == "one"
        assert session.run("sys.__stdin__.read()").unwrap() == ""


def test_output_of_a_wrapped_stream_is_complete_and_in_order() -> None:
    assert BOX.run(f"import io, sys\nprint('one')\n{WRAPPED}\nprint('two', end='')").stdout == "one\ntwo"
    assert BOX.run(f"import io, sys\n{WRAPPED}\nprint('two')\n1 / 0").stdout == "two\n"
    detached = "import codecs, sys\nsys.stdout = codecs.getwriter('utf-8')(sys.stdout.detach())\nprint('é')"
    assert BOX.run(detached).stdout == "é\n"
    with BOX.session() as session:
        assert session.run(f"import io, sys\n{WRAPPED}\nprint('one')").stdout == "one\n"
        assert session.run("print('two')").stdout == "two\n"
        assert session.run("sys.stdout = None\nprint('lost')").stdout == ""
        assert session.run("sys.stdout.fileno(), sys.stderr.fileno()").unwrap() == (1, 2)


def test_a_program_is_a_file() -> None:
    assert value("os.path.isdir(os.path.dirname(os.path.abspath(__file__)))") is True
    assert BOX.run("import argparse\nargparse.ArgumentParser().print_usage()").stdout == "usage: main.py [-h]\n"
    assert BOX.run("\ufeffprint('x')").stdout == "x\n"
    assert "return 1" in getattr(BOX.run("x = 1\nreturn 1").error, "traceback", "")


def test_ranges_and_counts_larger_than_32_bits() -> None:
    program = """
import collections, itertools, random
random.seed(5)
numbers = range(10**9, 10**10)
sample = random.sample(numbers, 3)
[
    len(set(sample)), all(n in numbers for n in sample), random.choice(numbers) in numbers,
    random.choices(range(0, -10**11, -7), k=1)[0] % 7, list(itertools.islice('abc', 10**10)),
    list(itertools.islice('abcdef', 1, 10**10, 2)), len(collections.deque([1], maxlen=10**10)),
]
"""
    assert value(program) == [3, True, True, 0, ["a", "b", "c"], ["b", "d", "f"], 1]
    assert failure("import itertools\nitertools.islice('abc', -1)")[0] == "ValueError"


READS = ["input()", "sys.stdin.read()", "open(0).read()", "sys.stdin.buffer.read().decode()", "os.read(0, 99).decode()"]


@pytest.mark.parametrize("read", [*READS, "open('/dev/stdin').read()", "next(iter(sys.stdin))"])
def test_a_program_reads_what_the_run_was_given(read: str) -> None:
    assert BOX.run(f"import os, sys\n{read}", stdin="één\n").unwrap().strip() == "één"


def test_input_belongs_to_one_run() -> None:
    with BOX.session() as session:
        assert session.run("first, rest = input(), open(0).read()\nfirst, rest", stdin="a\nb").unwrap() == ("a", "a\nb")
        assert session.run("open(0).read()").unwrap() == ""
        assert session.run("import sys\nsys.stdin.name, sys.stdin.fileno()", stdin="").unwrap() == ("<stdin>", 0)
        assert "EOF when reading a line" in str(session.run("input()", stdin="").error)


ENDINGS = {
    "an exit handler": "import atexit\natexit.register(print, 'end')",
    "a finalizer": "class A:\n    def __del__(self): print('end')\na = A()",
    "a generator": "def g():\n    try: yield\n    finally: print('end')\nleft = g()\nnext(left)",
    "a weak reference": "import weakref\nclass A: pass\na = A()\nwatch = weakref.ref(a, lambda _: print('end'))",
    "a held record": """
import logging, logging.handlers, sys
held = logging.handlers.MemoryHandler(9, target=logging.StreamHandler(sys.stdout))
logging.getLogger().addHandler(held)
logging.warning('end')
""",
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=list(ENDINGS))
def test_a_single_run_winds_up_and_a_session_does_not(ending: str) -> None:
    result = BOX.run(f"{ending}\nprint('here')\n7")
    assert (result.value, result.stdout) == (7, "here\nend\n")
    with BOX.session() as session:
        assert session.run(f"{ending}\nprint('here')").stdout == "here\n"
    with BOX.session(single_run=True) as session:
        assert session.run(f"{ending}\nprint('here')").stdout == "here\nend\n"


def test_the_end_of_a_run_is_within_its_limits() -> None:
    endless = BOX.run("import atexit\n@atexit.register\ndef end():\n    while True: pass", limits=Limits(fuel=10**8))
    assert isinstance(endless.error, FuelExhausted)
    ended = BOX.run("import atexit, sys\natexit.register(print, 'end')\nsys.exit(3)")
    assert (ended.exit_code, ended.stdout) == (3, "end\n")


def test_what_an_exit_handler_raises_is_printed_and_changes_nothing() -> None:
    result = BOX.run("import atexit\natexit.register(print, 'end')\natexit.register(int, 'x')\n[][1]")
    assert "IndexError" in str(result.error)
    assert result.stdout == "end\n"
    assert "ValueError: invalid literal" in result.stderr


def test_a_duplicate_of_a_descriptor_shares_its_position() -> None:
    program = """
import os
first = os.open("shared.txt", os.O_CREAT | os.O_RDWR)
second = os.dup(first)
os.write(first, b"ab")
os.close(first)
os.write(second, b"cd")
third = os.dup2(second, 40)
os.lseek(third, 1, os.SEEK_SET)
read = os.read(second, 9)
copy = os.dup(1)
os.write(copy, b"printed\\n")
try:
    os.dup2(second, 1)
except OSError as error:
    refused = str(error)
try:
    os.dup(99)
except OSError as error:
    (read, third, error.errno, refused)
"""
    result = Sandbox().run(program.replace("    (read", "    found = (read") + "found")
    assert result.value[:3] == (b"bcd", 40, 9)
    assert "cannot be redirected by number" in result.value[3]
    assert result.stdout == "printed\n"


def test_opening_needs_no_flag_for_reading() -> None:
    assert (
        Sandbox().run("import os\nos.close(os.open('new.txt', os.O_CREAT))\nos.path.getsize('new.txt')").unwrap() == 0
    )


def test_an_interrupt_has_pythons_handler() -> None:
    program = """
import _thread, asyncio, signal
async def wait():
    _thread.interrupt_main()
    await asyncio.sleep(60)
try:
    asyncio.run(wait())
except KeyboardInterrupt:
    pass
signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""
    assert Sandbox().run(program).unwrap() is True


def test_tasks_of_an_executor_run_under_a_workers_name() -> None:
    program = """
import threading, time
from concurrent.futures import ThreadPoolExecutor
def who(_):
    time.sleep(0.001)
    return threading.current_thread().name, threading.get_ident() == threading.main_thread().ident
with ThreadPoolExecutor(2, "crew") as pool:
    seen = list(pool.map(who, range(3)))
seen, threading.current_thread().name, threading.active_count()
"""
    assert Sandbox().run(program).unwrap() == (
        [("crew_0", False), ("crew_1", False), ("crew_0", False)],
        "MainThread",
        1,
    )


def test_the_standard_library_is_where_sysconfig_says() -> None:
    assert (
        Sandbox().run("import os, sysconfig\nos.path.dirname(os.__file__) == sysconfig.get_path('stdlib')").unwrap()
        is True
    )


def test_no_stream_is_a_terminal() -> None:
    program = "import os, doctest\nprint('\\033' in repr(doctest.testmod()), [os.isatty(fd) for fd in range(3)])"
    assert Sandbox().run(program).stdout == "False [False, False, False]\n"
