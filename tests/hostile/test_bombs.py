"""Programs that try to wear out the host: each ends in a typed error, in time, and leaves nothing behind."""

import os
from pathlib import Path
from typing import Any

import pytest
from tests.hostile.harness import MIB, attack
from tests.runtime.real.functions import Functions
from tests.runtime.real.neighbours import Street

from cloche.runtime.errors import (
    CallsExceeded,
    FuelExhausted,
    GuestException,
    MemoryExceeded,
    OutputExceeded,
    ResultTooLarge,
    StackOverflow,
    TimeExceeded,
    UnserializableValue,
)
from cloche.runtime.limits import Limits
from cloche.runtime.sandbox import Sandbox

# Whatever ends such a program, it is one of these limits; which of them is first depends on the interpreter.
# Only a guest that is never stopped comes near it, however slow the machine.
PATIENCE = 600.0
# What the host may hold for a run beside the guest's memory, and room for caches that are filled meanwhile.
HOST_ROOM = (2 * 64 + 64) * MIB
SPENT = (FuelExhausted, TimeExceeded, MemoryExceeded)

CPU = {
    "endless loop": "while True: pass",
    "endless loop that catches all": "while True:\n  try:\n    while True: pass\n  except BaseException: pass",
    "endless finally": "try:\n  1 / 0\nfinally:\n  while True: pass",
    "endless __del__": "class A:\n  def __del__(self):\n    while True: pass\nA()",
    "endless gc callback": "import gc\ndef f(*a):\n  while True: pass\ngc.callbacks.append(f)\ngc.collect()",
    "endless weakref callback": (
        "import weakref\nclass A: pass\ndef f(r):\n  while True: pass\na = A()\nr = weakref.ref(a, f)\ndel a"
    ),
    "endless trace function": "import sys\ndef f(*a):\n  while True: pass\nsys.settrace(f)\n(lambda: 1)()",
    "endless str of the error": ("class E(Exception):\n  def __str__(self):\n    while True: pass\nraise E"),
    "endless repr in a value": (
        "import enum\nclass L(list):\n  def __iter__(self):\n    while True: pass\n"
        "class S(str):\n  def __eq__(self, o):\n    while True: pass\n  __hash__ = str.__hash__\n"
        "import dataclasses\n@dataclasses.dataclass\nclass D:\n  @property\n  def x(self):\n    while True: pass\n"
        "  def __getattr__(self, n):\n    while True: pass\nwhile True: repr(L([1]))"
    ),
    "endless stdout of its own": (
        "import sys\nclass O:\n  def write(self, t):\n    while True: pass\n  flush = write\n"
        "sys.stdout = O()\nprint('x')"
    ),
    "sleep": "import time\ntime.sleep(10**9)",
    "sleep for ever": "import time\nwhile True: time.sleep(0.01)",
    "sleep by select": "import select\nwhile True:\n  try: select.select([], [], [], 10**6)\n  except OSError: pass",
    "yield for ever": "import asyncio\nwhile True:\n  await asyncio.sleep(0)",
    "power": "x = 7 ** (10 ** 8)",
    "power of powers": "x = 9\nwhile True: x **= 9",
    "text to int": "import sys\nsys.set_int_max_str_digits(0)\nint('9' * 10**7)",
    "int to text": "import sys\nsys.set_int_max_str_digits(0)\nstr(1 << 10**8)",
    "regex backtracking": "import re\nre.match('(a+)+$', 'a' * 40 + 'b')",
    "sort that never agrees": (
        "import random\nclass K:\n  def __lt__(s, o): return random.random() < .5\n"
        "while True: sorted(K() for _ in range(10_000))"
    ),
    "hash flooding": (
        "class K:\n  def __hash__(s): return 1\n  def __eq__(s, o): return False\n{K(): 1 for _ in range(10**6)}"
    ),
    "substring search": "'a' * 10**7 + 'b' in 'a' * (2 * 10**7)\nwhile True: ('a' * 10**6 + 'b') in ('a' * 2 * 10**6)",
    "decompression": (
        "import zlib\nd = zlib.compressobj(9)\n"
        "b = b''.join(d.compress(bytes(1 << 20)) for _ in range(200)) + d.flush()\n"
        "x = [zlib.decompress(b) for _ in range(200)]"
    ),
    "compilation": "compile('x = 1 + 2 * 3\\n' * 10**7, 'x', 'exec')",
    "comprehension": "[0 for _ in iter(int, 1)]",
    "generator": "import itertools\nlist(itertools.count())",
    "entropy": "import os\nwhile True: os.urandom(1 << 20)",
    "entropy at once": "import os\nos.urandom(1 << 31)",
    "clock": "import time\nwhile True: time.time()",
}


@pytest.mark.parametrize("name", CPU)
def test_time_and_cpu(name: str) -> None:
    with Street(Sandbox(), Limits(fuel=400_000_000, time=0.5)) as street:
        result = street.misbehave("kept['list'].clear()\n" + CPU[name])
        street.attacked.check_end(0.5)
        street.attacked.check_memory(256 * MIB + HOST_ROOM)
        error = result.error
        if isinstance(error, GuestException):
            # One call that asks for more than there is, refused at once.
            assert error.type_name in ("OSError", "OverflowError", "MemoryError", "RuntimeError")
        else:
            assert isinstance(error, SPENT)
            assert result.rolled_back
            street.check()


MEMORY = {
    "at once": "bytearray(1 << 31)",
    "more than there are addresses": "bytearray(1 << 40)",
    "a tuple of nothing": "(0,) * (1 << 29)",
    "text": "'x' * (1 << 31)",
    "wide text": "'\\U0001F600' * (1 << 28)",
    "doubling": "x = [0]\nwhile True: x += x",
    "in a dict": "x = {}\nwhile True: x[len(x)] = bytes(1 << 16)",
    "in a set of ints": "x = set()\nwhile True: x |= set(range(len(x), 2 * len(x) + 1))",
    "in a big int": "x = 1\nwhile True: x <<= 1 << 20",
    "by formatting": "f'{1:{10**9}}'",
    "by percent": "'%1000000000d' % 1",
    "by replace": "('a' * 10**5).replace('a', 'b' * 10**5)",
    "by join": "('x' * 10**5).join('y' * 10**5)",
    "by product": "import itertools\nlist(itertools.product(range(1000), repeat=4))",
    "by permutations": "import itertools\nlist(itertools.permutations(range(11)))",
    "in an exception": "raise ValueError(bytearray(1 << 31))",
    "in memory that is never freed": "import sys\nx = []\ndef f():\n  x.append([0] * 10**6)\n  f()\nf()",
    "while catching": "x = []\nwhile True:\n  try: x.append(bytearray(1 << 22))\n  except MemoryError: pass",
    "in files": "f = open('/tmp/x', 'wb')\nwhile True: f.write(bytes(1 << 20))",
    "in a deque": "import collections\nd = collections.deque()\nwhile True: d.extend(d.copy() or [0])",
    "in local variables": (
        "def f(n):\n  a = [n] * 10**5\n  return f(n + 1)\nimport sys\nsys.setrecursionlimit(10**9)\nf(0)"
    ),
    "in tracebacks": (
        "import sys\nsys.setrecursionlimit(10**9)\ne = None\n"
        "while True:\n  try: raise ValueError(e)\n  except ValueError as x: e = x"
    ),
    "in generators": "import sys\nsys.setrecursionlimit(10**9)\ndef g(n): yield from g(n + 1)\nlist(g(0))",
}


@pytest.mark.parametrize("name", MEMORY)
def test_memory(name: str) -> None:
    box = Sandbox(limits=Limits(memory="128 MiB", fuel=3_000_000_000, time=PATIENCE))
    with Street(box) as street:
        result = street.misbehave("kept['list'].clear()\n" + MEMORY[name])
        street.attacked.check_memory(128 * MIB + HOST_ROOM)
        if isinstance(result.error, GuestException):
            assert result.error.type_name in ("OSError", "OverflowError", "MemoryError", "RecursionError", "ValueError")
            assert street.session.run("len(kept['list'])").unwrap() == 0
        else:
            assert isinstance(result.error, (MemoryExceeded, FuelExhausted, StackOverflow))
            assert result.rolled_back
            street.check()


def noop(*args: object) -> None:
    """Take anything."""


HOST_BUFFERS: dict[str, tuple[str, Any]] = {
    "stdout in lines": ("while True: print('x' * 1000)", OutputExceeded),
    "stdout without lines": ("while True: print('x', end='')", OutputExceeded),
    "stdout at once": ("print('x' * (1 << 25))", OutputExceeded),
    "stdout below Python": ("import os\nwhile True: os.write(1, b'x' * 65536)", OutputExceeded),
    "stderr below Python": ("import os\nwhile True: os.write(2, b'x')", OutputExceeded),
    "stdout of bytes that are no text": ("import os\nwhile True: os.write(1, bytes(range(128, 256)))", OutputExceeded),
    "warnings": (
        "import warnings\nwarnings.simplefilter('always')\nwhile True: warnings.warn('x' * 1000)",
        OutputExceeded,
    ),
    "unraisable errors": (
        "class A:\n  def __del__(self): raise ValueError('x' * 100_000)\nwhile True: A()",
        (OutputExceeded, FuelExhausted),
    ),
    "calls": ("while True: noop()", CallsExceeded),
    "caught calls": ("while True:\n  try: noop()\n  except BaseException: pass", CallsExceeded),
    "background calls": ("import asyncio\nwhile True: await asyncio.to_thread(noop)", CallsExceeded),
    "large arguments": ("while True: noop('x' * 4_000_000)", CallsExceeded),
    "value": ("'x' * (100 << 20)", ResultTooLarge),
    "value of many items": ("[[]] * 5_000_000", ResultTooLarge),
    "value that shares parts": ("x = []\nfor _ in range(60): x = [x, x]\nx", (ResultTooLarge, *SPENT)),
    "message": ("raise ValueError('x' * (100 << 20))", (GuestException, MemoryExceeded)),
    "type name": ("raise type('E' * 10_000_000, (Exception,), {})", GuestException),
    "traceback": (
        "e = None\nfor _ in range(50_000):\n  n = ValueError('x' * 100); n.__cause__ = e; e = n\nraise e",
        GuestException,
    ),
    "exception group": ("raise ExceptionGroup('g', [ValueError('x' * 1000) for _ in range(50_000)])", GuestException),
    "notes": ("e = ValueError()\nfor _ in range(10**5): e.add_note('x' * 100)\nraise e", GuestException),
    "files": ("for i in range(10**6): open(f'/tmp/{i}', 'w').close()", GuestException),
    "open files": ("x = []\nwhile True: x.append(open('/tmp/x', 'a'))", (GuestException, *SPENT)),
    "nested folders": (
        "import os\nwhile True:\n  os.mkdir('d')\n  os.chdir('d')",
        (GuestException, *SPENT),
    ),
    "file names": ("open('/tmp/' + 'x' * 10**6, 'w')", GuestException),
}


@pytest.mark.parametrize("name", HOST_BUFFERS)
def test_buffers_of_the_host(name: str) -> None:
    code, expected = HOST_BUFFERS[name]
    limits = Limits(fuel=20_000_000_000, time=120, output="64 KiB", calls=100)
    box = Sandbox(tools=Functions(noop), limits=limits)
    attacked = attack(box, code)
    result = attacked.result
    attacked.check_end(120)
    attacked.check_memory(256 * MIB + HOST_ROOM)
    assert isinstance(result.error, expected)
    assert len(result.stdout) + len(result.stderr) <= 128 << 10
    assert len(result.calls) <= 101
    if isinstance(result.error, GuestException):
        assert len(result.error.type_name) < 1_000
        assert len(result.error.message) <= 16_384
        assert len(result.error.traceback) <= 65_536
    assert box.run("6 * 7").unwrap() == 42


# The guest noticed by itself and said so.
REPORTED = (GuestException, UnserializableValue)

DEEP = {
    "calls": "def f(): f()\nf()",
    "calls without a limit": "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
    "attributes": "class A:\n  def __getattr__(s, n): return getattr(s, n)\nA().x",
    "repr": "class A:\n  def __repr__(s): return repr(s)\nrepr(A())",
    "repr of lists": "x = []\nfor _ in range(10**5): x = [x]\nrepr(x)",
    "comparisons": "a = []; b = []\nfor _ in range(10**5): a = [a]; b = [b]\na == b",
    "hashes": "x = ()\nfor _ in range(10**5): x = (x,)\nhash(x)",
    "sorting": "class A:\n  def __lt__(s, o): return sorted([s, o])\nsorted([A(), A()])",
    "parsing": "eval('(' * 10**5)",
    "parsing of operators": "eval('not ' * 10**5 + '1')",
    "compiling": "eval('a' + '.b' * 10**5)",
    "lambdas": "eval('lambda: ' * 10**5 + '1')",
    "the syntax tree": "import ast\nx = ast.Constant(1)\nfor _ in range(10**5): x = ast.UnaryOp(ast.USub(), x)\n"
    "compile(ast.fix_missing_locations(ast.Expression(x)), '', 'eval')",
    "literal_eval": "import ast\nast.literal_eval('[' * 10**5)",
    "JSON": "import json\njson.loads('{\"a\":' * 10**6)",
    "pickle": "import pickle\nx = []\nfor _ in range(10**5): x = [x]\npickle.dumps(x)",
    "unpickling": "import pickle\npickle.loads(b'(' * 10**6 + b't' * 10**6 + b'.')",
    "marshal": "import marshal\nmarshal.loads(b'[\\x01\\0\\0\\0' * 10**5)",
    "copies": "import copy\nx = []\nfor _ in range(10**5): x = [x]\ncopy.deepcopy(x)",
    "regexes": "import re\nre.compile('(' * 3000 + ')' * 3000)",
    "isinstance": "t = int\nfor _ in range(10**5): t = (t,)\nisinstance('', t)",
    "partials": "import functools\nf = int\nfor _ in range(10**5): f = functools.partial(f, [])\nf()",
    "iterators": "i = iter([])\nfor _ in range(10**5): i = map(abs, i)\nlist(i)",
    "generators": "def g(): yield from g()\nlist(g())",
    "coroutines": "async def f(): await f()\nawait f()",
    "classes": "class A: pass\nfor _ in range(1_000): A = type('A', (A,), {})\nA.x",
    "exceptions": "e = None\nfor _ in range(10**5):\n  n = ValueError(); n.__context__ = e; e = n\nraise e",
    "messagepack": "import msgpack\nmsgpack.unpackb(b'\\x91' * 10**6)",
    "freeing": "x = []\nfor _ in range(10**6): x = [x]\ndel x\n1 / 0",
    "format": "f = '{:' * 1000 + '}' * 1000\nf.format(1)",
    "property of itself": "class A:\n  @property\n  def x(s): return s.x\nA().x",
    "import of itself": "open('m.py', 'w').write('import importlib, sys; del sys.modules[\"m\"]; import m')\nimport m",
    "exec": "s = 'exec(s)'\nexec(s)",
    "sum of lists": "class A(list):\n  def __add__(s, o): return s + o\nA() + A()",
    "union types": "x = int\nfor _ in range(10**5): x = list[x]\nrepr(x)",
    "OrderedDict": "import collections\nx = None\nfor _ in range(10**5): x = collections.OrderedDict(a=x)\nrepr(x)",
    "xml": "import xml.etree.ElementTree as E\nx = E.fromstring('<a>' * 50_000 + '</a>' * 50_000)\nE.tostring(x)",
}


@pytest.mark.parametrize("name", DEEP)
def test_stack(name: str) -> None:
    with Street(Sandbox(limits=Limits(fuel=20_000_000_000, time=PATIENCE))) as street:
        result = street.misbehave(DEEP[name])
        street.attacked.check_memory(256 * MIB + HOST_ROOM)
        assert isinstance(result.error, (*REPORTED, StackOverflow, MemoryExceeded, FuelExhausted))
        if isinstance(result.error, REPORTED):
            # Nothing was undone, so that the recursion limit may be the program's own.
            assert street.session.run("kept['list']").unwrap() == [1, 2, 3]
        else:
            street.check()


def resident() -> int:
    """The bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's own figures")
def test_memory_comes_back_after_many_bombs() -> None:
    box = Sandbox(limits=Limits(memory="192 MiB"))
    bombs = (
        "x = []\nwhile True: x.append(bytearray(b'x') * (1 << 20))",
        "import os\nwhile True: os.write(1, b'x' * 65536)",
        "raise ValueError('x' * 50_000_000)",
        "'x' * 50_000_000",
    )
    with box.session() as session:
        session.run("kept = 41")
        # Three times: by then a copy of the session's memory is kept, and another one in its place.
        for bomb in bombs * 3:
            session.run(bomb)
            box.run(bomb)
        before = resident()
        for bomb in bombs * 3:
            assert session.run(bomb).error is not None
            assert box.run(bomb).error is not None
        assert session.run("kept + 1").unwrap() == 42
        # Each bomb touched up to 192 MiB: twenty-four of them would be 4 GiB.
        assert resident() - before < 128 << 20
