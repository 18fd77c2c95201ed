"""Every limit, exceeded: its typed error with the amounts, and nothing else harmed."""

import asyncio
import threading
from collections.abc import Iterator
from time import monotonic

import pytest

from cloche.runtime.errors import (
    CallsExceeded,
    FuelExhausted,
    GuestError,
    GuestException,
    LimitExceeded,
    MemoryExceeded,
    OutputExceeded,
    ResultTooLarge,
    StackOverflow,
    TimeExceeded,
)
from cloche.runtime.limits import Limits
from cloche.runtime.result import Event
from cloche.runtime.sandbox import Sandbox

from .functions import Functions
from .neighbours import Street

MIB = 1 << 20
# Long enough for a slow test machine; only a run that is never ended comes near it.
PATIENCE = 60.0


def echo(value: object) -> object:
    return value


@pytest.fixture(scope="module")
def box() -> Sandbox:
    return Sandbox(tools=Functions(echo))


ENDED = {
    "fuel": ("while True: pass", Limits(fuel=50_000_000), FuelExhausted, 50_000_000),
    "fuel in C code": ("sum(range(10**12))", Limits(fuel=50_000_000), FuelExhausted, 50_000_000),
    "memory at once": ("x = bytearray(1 << 30)", Limits(), MemoryExceeded, 256 * MIB),
    "memory bit by bit": ("x = []\nwhile True: x.append(bytearray(1 << 20))", Limits(), MemoryExceeded, 256 * MIB),
    "memory in small objects": (
        # Most of it at once: to fill it with small objects takes seconds.
        "x = [bytearray(180 << 20)]\nwhile True: x.append([x])",
        Limits(fuel=None, time=PATIENCE),
        MemoryExceeded,
        256 * MIB,
    ),
    "time": ("while True: pass", Limits(fuel=None, time=0.1), TimeExceeded, 0.1),
    "time in C code": ("sum(range(10**12))", Limits(fuel=None, time=0.1), TimeExceeded, 0.1),
    "time asleep": ("import time\ntime.sleep(1e9)", Limits(time=0.1), TimeExceeded, 0.1),
    "time asleep in asyncio": ("import asyncio\nawait asyncio.sleep(1e9)", Limits(time=0.1), TimeExceeded, 0.1),
    "time in output": (
        "import sys\nwhile True: sys.stdout.write('x'); sys.stdout.flush()",
        Limits(fuel=None, time=0.1, output="1 GiB"),
        TimeExceeded,
        0.1,
    ),
    "stdout": ("while True: print('x' * 100)", Limits(output=10_000), OutputExceeded, 10_000),
    "stdout without lines": ("while True: print('x', end='')", Limits(output=10_000), OutputExceeded, 10_000),
    "stderr": ("import sys\nsys.stderr.write('é' * 10_000)", Limits(output=10_000), OutputExceeded, 10_000),
    "calls": ("for i in range(9): echo(i)", Limits(calls=8), CallsExceeded, 8),
    "no calls": ("echo(1)", Limits(calls=0), CallsExceeded, 0),
    "stack in tuples": ("t = ()\nfor _ in range(200_000): t = (t,)\nhash(t)", Limits(), StackOverflow, None),
    "stack in iterators": (
        "i = iter([])\nfor _ in range(100_000): i = map(abs, i)\nlist(i)",
        Limits(),
        StackOverflow,
        None,
    ),
}


@pytest.mark.parametrize("name", ENDED)
def test_a_limit_ends_the_run_and_only_that(box: Sandbox, name: str) -> None:
    code, limits, kind, limit = ENDED[name]
    with Street(box, limits) as street:
        result = street.misbehave("kept['list'].append(4); Thing.level = 9; del alias; json.marker = 0\n" + code)
        assert type(result.error) is kind
        assert result.rolled_back
        assert result.value is None
        check_amounts(result.error, limit)
        street.check()


def check_amounts(error: GuestError | None, limit: float | None) -> None:
    if isinstance(error, LimitExceeded):
        assert error.limit == limit
        # Of the memory, what was refused does not count; of everything else at least the limit was used.
        assert error.used > 0 if isinstance(error, MemoryExceeded) else error.used >= error.limit


@pytest.mark.parametrize("name", ENDED)
def test_a_limit_in_a_fresh_run(box: Sandbox, name: str) -> None:
    code, limits, kind, _ = ENDED[name]
    result = box.run(code, limits=limits)
    assert type(result.error) is kind
    assert not result.rolled_back
    with pytest.raises(GuestError) as caught:
        result.unwrap()
    assert caught.value is result.error
    assert box.run("6 * 7").unwrap() == 42


def test_the_amounts_on_the_result(box: Sandbox) -> None:
    result = box.run("while True: pass", limits=Limits(fuel=10_000_000))
    assert result.usage.fuel == 10_000_000
    assert result.error is not None
    assert "10,000,000" in str(result.error)
    assert box.run("x = 1").usage.fuel in range(1, 10_000_000)


@pytest.mark.parametrize("metering", ["fuel", "epoch"])
@pytest.mark.parametrize("trick", ["except BaseException: pass", "finally: continue", "except: raise"])
def test_the_program_cannot_catch_a_limit(metering: str, trick: str) -> None:
    code = f"while True:\n    try:\n        while True: pass\n    {trick}"
    result = Sandbox(metering=metering).run(code, limits=Limits(fuel=30_000_000, time=0.2))  # type: ignore[arg-type]
    assert isinstance(result.error, FuelExhausted if metering == "fuel" else TimeExceeded)


def test_the_guest_sees_its_memory_end_first(box: Sandbox) -> None:
    code = "try:\n    bytearray(1 << 30)\nexcept MemoryError:\n    print('caught')\n'went on'"
    result = box.run(code, limits=Limits(memory="64 MiB"))
    assert (result.value, result.stdout) == ("went on", "caught\n")


def test_output_up_to_the_limit_is_kept(box: Sandbox) -> None:
    result = box.run("print('é' * 600)", limits=Limits(output=1_000))
    assert isinstance(result.error, OutputExceeded)
    assert (result.error.stream, result.error.limit) == ("stdout", 1_000)
    assert result.error.used > 1_000
    assert result.stdout == "é" * 500
    assert result.usage.output_bytes == 1_000


def test_each_stream_has_the_whole_limit(box: Sandbox) -> None:
    code = "import sys\nsys.stdout.write('o' * 1000); n = sys.stderr.write('e' * 1000)"
    result = box.run(code, limits=Limits(output=1_000))
    assert result.error is None
    assert (len(result.stdout), len(result.stderr)) == (1_000, 1_000)


# What does not end the run from outside, but is refused inside: the program could catch it, and state stays.
REFUSED = {
    "result": ("'x' * 2000", Limits(result=1_000), ResultTooLarge, ""),
    "result of many": ("list(range(2000))", Limits(result=1_000), ResultTooLarge, ""),
    "argument": ("echo('x' * 2000)", Limits(argument=1_000), "ValueError", "1,000"),
    "files": ("for i in range(99): open(f'/tmp/{i}', 'w').close()", Limits(files=20), "OSError", "space"),
    "folders": ("import os\nfor i in range(99): os.mkdir(f'/tmp/{i}')", Limits(files=20), "OSError", "space"),
    "file bytes": ("open('/tmp/x', 'wb').write(bytes(70_000))", Limits(file_bytes=50_000), "OSError", "space"),
    "file by seeking": (
        "f = open('/tmp/x', 'wb')\nf.seek(1 << 30)\nf.write(b'x')\nf.close()",
        Limits(),
        "OSError",
        "",
    ),
    "recursion": ("def f(): f()\nf()", Limits(), "RecursionError", "maximum recursion depth"),
    "deep repr": ("x = []\nfor _ in range(100_000): x = [x]\nrepr(x)", Limits(), "RecursionError", "repr"),
    "deep parsing": ("eval('not ' * 100_000)", Limits(), "MemoryError", "too complex"),
    "deep operators": ("eval('-' * 200_000 + '1')", Limits(), "MemoryError", "too complex"),
    "deep compilation": ("eval('a' + '.b' * 100_000)", Limits(), "RecursionError", "compilation"),
    "deep JSON": ("import json\njson.loads('[' * 1_000_000)", Limits(), "RecursionError", "JSON"),
    "deep JSON made": (
        "import json\nx = []\nfor _ in range(100_000): x = [x]\njson.dumps(x)",
        Limits(),
        "RecursionError",
        "JSON",
    ),
    "deep pickle": (
        "import pickle\nx = []\nfor _ in range(100_000): x = [x]\npickle.dumps(x)",
        Limits(),
        "RecursionError",
        "pickling",
    ),
    "deep isinstance": (
        "t = int\nfor _ in range(100_000): t = (t,)\nisinstance('', t)",
        Limits(),
        "RecursionError",
        "",
    ),
    "deep value": ("x = []\nfor _ in range(100_000): x = [x]\nx", Limits(), "UnserializableValue", "deep"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_limit_that_the_guest_is_told_of(box: Sandbox, name: str) -> None:
    code, limits, kind, text = REFUSED[name]
    with box.session() as session:
        session.run("kept = 41")
        error = session.run(code, limits=limits).error
        assert text in str(error)
        if isinstance(kind, str):
            assert kind in (type(error).__name__, getattr(error, "type_name", ""))
        else:
            assert type(error) is kind
        assert session.run("kept + 1").unwrap() == 42
    assert box.run("6 * 7").unwrap() == 42


def test_a_refusal_can_be_caught(box: Sandbox) -> None:
    code = "try:\n    echo('x' * 2000)\nexcept ValueError as error:\n    text = str(error)\ntext"
    assert "1,000" in box.run(code, limits=Limits(argument=1_000)).unwrap()


def test_the_value_that_is_too_large_has_its_limit(box: Sandbox) -> None:
    error = box.run("'x' * 2000", limits=Limits(result=1_000)).error
    assert isinstance(error, ResultTooLarge)
    assert (error.used >= 1_000, error.limit) == (True, 1_000)


def test_what_a_tool_answers_counts_as_a_result() -> None:
    def flood() -> str:
        return "x" * 5_000

    result = Sandbox(tools=Functions(flood)).run("flood()", limits=Limits(result=1_000))
    assert isinstance(result.error, GuestException)
    assert result.error.type_name == "ValueError"
    assert "at most 1,000" in result.error.message


@pytest.mark.parametrize("size", [10_000, 30_000_000])
def test_a_long_message_is_cut(box: Sandbox, size: int) -> None:
    error = box.run(f"raise ValueError('a' + 'x' * {size} + 'z')", limits=Limits(message=500)).error
    assert isinstance(error, GuestException)
    assert len(error.message) <= 500
    assert error.message.startswith("axxx")
    assert error.message.endswith("xxxz")


def test_a_long_traceback_is_cut(box: Sandbox) -> None:
    code = "def f(n):\n    return 1 / n if n == 0 else g(n - 1)\ndef g(n): return f(n)\nf(300)"
    error = box.run(code, limits=Limits(traceback=500)).error
    assert isinstance(error, GuestException)
    assert 300 < len(error.traceback) <= 500
    assert error.type_name == "ZeroDivisionError"


def test_calls_waiting_at_once() -> None:
    async def slow(n: int) -> int:
        await asyncio.sleep(0.01)
        return n

    box = Sandbox(tools=Functions(slow))
    code = "import asyncio\nawait asyncio.gather(*(slow(i) for i in range({n})))"
    assert box.run(code.format(n=8), limits=Limits(pending=8)).unwrap() == list(range(8))
    error = box.run(code.format(n=9), limits=Limits(pending=8)).error
    assert isinstance(error, GuestException)
    assert error.type_name == "RuntimeError"
    assert "8 tool calls are pending" in error.message


class Gate:
    """A tool that blocks until the test is over."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.entered = threading.Event()

    def block(self) -> str:
        self.entered.set()
        assert self.opened.wait(PATIENCE)
        return "late"


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


def test_time_in_a_tool_that_blocks(gate: Gate) -> None:
    def block() -> str:
        return gate.block()

    with Street(Sandbox(tools=Functions(block, blocks=True)), Limits(time=0.2)) as street:
        started = monotonic()
        result = street.misbehave("kept['list'].append(4)\nblock()")
        assert monotonic() - started < PATIENCE / 2
        assert isinstance(result.error, TimeExceeded)
        assert result.error.doing == "the tool 'block'"
        assert result.error.used >= result.error.limit == 0.2
        assert result.rolled_back
        assert [call.outcome for call in result.calls] == ["abandoned"]
        street.check()
        # The tool comes back to a guest that is no longer the session's.
        gate.opened.set()
        assert street.session.run("kept, Thing.level").unwrap() == ({"list": [1, 2, 3]}, 2)
        assert street.session.run("block()").unwrap() == "late"


def test_time_in_a_coroutine_tool() -> None:
    cancelled = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with Street(Sandbox(tools=Functions(forever)), Limits(time=0.2)) as street:
        result = street.misbehave("await forever()")
        assert isinstance(result.error, TimeExceeded)
        assert result.error.doing == "the tool 'forever'"
        assert cancelled.wait(PATIENCE)
        assert [call.outcome for call in result.calls] == ["cancelled"]
        street.check()


def test_time_in_a_coroutine_tool_that_blocks_its_loop(gate: Gate) -> None:
    async def block() -> str:
        return gate.block()

    with Street(Sandbox(tools=Functions(block)), Limits(time=0.2)) as street:
        assert isinstance(street.misbehave("await block()").error, TimeExceeded)
        # Another tool finds a loop that works, although the first one still blocks.
        street.check()


def test_time_in_many_tools_at_once() -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    code = "import asyncio\nawait asyncio.gather(*(forever() for _ in range(5)))"
    error = Sandbox(tools=Functions(forever)).run(code, limits=Limits(time=0.2)).error
    assert isinstance(error, TimeExceeded)
    assert error.doing == "5 tools"


def test_time_in_a_listener_counts(box: Sandbox) -> None:
    def slow(event: Event) -> None:
        threading.Event().wait(0.05)

    result = box.run("while True: print('x', flush=True)", limits=Limits(time=0.2, fuel=None), on_event=slow)
    assert isinstance(result.error, TimeExceeded)
    assert 1 <= len(result.stdout) < 100


def test_no_limit_is_left_to_the_next_run(box: Sandbox) -> None:
    with box.session() as session:
        small = Limits(fuel=5_000_000, time=0.5, output=10, calls=0, result=64, argument=64, files=1)
        session.run("x = 1", limits=small).unwrap()
        assert session.run("sum(range(10**6))").unwrap() == 499999500000
        assert len(session.run("print('x' * 1000)").stdout) == 1001
        assert session.run("echo('x' * 1000)").unwrap() == "x" * 1000
        assert session.run("[open(f'/tmp/{i}', 'w').close() for i in range(9)]").error is None


def test_a_session_keeps_its_own_memory_limit(box: Sandbox) -> None:
    with box.session() as session, pytest.raises(ValueError, match="memory"):
        session.run("1", limits=Limits(memory="128 MiB"))
