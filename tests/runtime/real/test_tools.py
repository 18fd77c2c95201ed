"""Tools called from the real guest: values, errors, parallel calls, and what never gets through."""

import asyncio
import contextvars
import threading
from dataclasses import dataclass
from typing import Any

import pytest

from cloche.runtime.errors import GuestException
from cloche.runtime.limits import Limits
from cloche.runtime.sandbox import Sandbox

from .functions import Functions

PATIENCE = 60.0


def run(code: str, *functions: Any, **options: Any) -> Any:
    return Sandbox(tools=Functions(*functions), **options).run(code)


def test_arguments_and_value() -> None:
    def join(first: str, *rest: str, by: str = " ", **more: int) -> list[Any]:
        return [by.join([first, *rest]), more]

    assert run("join('a', 'b', by='-', x=1)", join).unwrap() == ["a-b", {"x": 1}]


def test_the_records_of_calls() -> None:
    def double(x: int) -> int:
        return 2 * x

    result = run(
        "double(4)\ntry: double('no', 1)\nexcept TypeError: pass\ntry: double(None)\nexcept TypeError: pass", double
    )
    assert result.error is None
    assert [(call.name, call.args, call.value, call.outcome) for call in result.calls] == [
        ("double", [4], 8, "returned"),
        ("double", [None], None, "raised"),
    ]
    assert isinstance(result.calls[1].error, TypeError)
    assert result.usage.calls == 2


class PrivateError(Exception):
    """Its own class, with secrets around it."""


def fail_privately() -> None:
    """Fail."""
    secret = "a secret of the host"
    raise PrivateError("the account is empty") from ValueError(secret)


def fail_with_a_path() -> None:
    """Fail."""
    open("/root/secret/host/path")  # noqa: SIM115


def test_an_error_crosses_as_its_name_and_text() -> None:
    code = "import traceback\ntry:\n    fail_privately()\nexcept Exception as e:\n    caught = e\n"
    code += (
        "type(caught).__name__, str(caught), caught.args, caught.__cause__, ''.join(traceback.format_exception(caught))"
    )
    result = run(code, fail_privately)
    name, text, args, cause, traceback = result.unwrap()
    assert (name, text, args, cause) == ("PrivateError", "the account is empty", ("the account is empty",), None)
    for hidden in ("secret", __file__, "test_tools", "/site-packages/"):
        assert hidden not in traceback
    assert isinstance(result.calls[0].error, PrivateError)
    assert result.calls[0].error.__traceback__ is not None


def test_no_host_path_reaches_the_guest() -> None:
    result = run("fail_with_a_path()", fail_with_a_path)
    assert isinstance(result.error, GuestException)
    assert result.error.type_name in ("FileNotFoundError", "PermissionError")
    assert "secret" not in result.error.message + result.error.traceback
    assert __file__ not in result.error.traceback


@pytest.mark.parametrize(
    "error",
    [ValueError("v"), KeyError("k"), LookupError(), StopIteration(3), StopAsyncIteration(), GeneratorExit(),
     SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), RecursionError("deep"), MemoryError(),
     ExceptionGroup("g", [ValueError("v")]), UnicodeDecodeError("utf-8", b"", 0, 1, "why"), PrivateError(),
     BaseException("base"), AssertionError("x" * 10**6)],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("blocks", [False, True])
def test_whatever_a_tool_raises_is_an_exception_in_the_guest(
    error: BaseException, is_async: bool, blocks: bool
) -> None:
    def fail() -> None:
        raise error

    async def fail_later() -> None:
        await asyncio.sleep(0)
        raise error

    box = Sandbox(tools=Functions(fail, fail_later, blocks=blocks))
    call = "await fail_later()" if is_async else "fail()"
    with box.session() as session:
        session.run("kept = 41")
        code = f"try:\n    {call}\nexcept Exception as e:\n    name = type(e).__name__, len(str(e)) < 20_000\nname"
        # Python itself makes a RuntimeError of a StopIteration that leaves a coroutine.
        name = "RuntimeError" if is_async and isinstance(error, StopIteration) else type(error).__name__
        assert session.run(code).unwrap() == (name, True)
        assert session.run(call).error is not None
        assert session.run("kept + 1").unwrap() == 42


def test_an_error_whose_text_cannot_be_made() -> None:
    class Worst(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    def fail() -> None:
        raise Worst

    error = run("fail()", fail).error
    assert isinstance(error, GuestException)
    assert (error.type_name, error.message) == ("Worst", "")


@pytest.mark.parametrize("value", [object(), threading.Lock(), print, [1, {"k": object()}], (x for x in "ab")])
def test_a_value_that_cannot_cross_is_an_error_in_the_guest(value: object) -> None:
    def get() -> object:
        return value

    result = run("try:\n    get()\nexcept TypeError as e:\n    text = str(e)\ntext", get)
    assert "the tool 'get' returned a value that cannot be sent" in result.unwrap()
    assert "0x" not in result.unwrap()


def test_an_argument_that_cannot_cross_never_leaves() -> None:
    called: list[object] = []

    def take(value: object) -> None:
        called.append(value)

    result = run("try:\n    take({'a': [lambda: 1]})\nexcept TypeError as e:\n    text = str(e)\ntext", take)
    assert "argument 'value'['a'][0]" in result.unwrap()
    assert called == result.calls == []


@dataclass
class Order:
    """A host's class."""

    item: str
    count: int


def test_records_go_both_ways() -> None:
    seen: list[Any] = []

    def place(order: Any) -> Order:
        seen.append(order)
        return Order("tea", 3)

    code = "from dataclasses import dataclass\n@dataclass\nclass Mine:\n    item: str\n"
    code += "order = place(Mine('cup'))\norder.item, order.count, type(order).__name__"
    assert run(code, place).unwrap() == ("tea", 3, "Order")
    assert seen == [{"item": "cup"}]


def test_gather_runs_tools_in_parallel() -> None:
    barrier = threading.Barrier(5)

    async def meet(n: int) -> int:
        # All five are inside at once, or none gets out.
        await asyncio.to_thread(barrier.wait, PATIENCE)
        return n

    code = "import asyncio\nawait asyncio.gather(*(meet(i) for i in range(5)))"
    assert run(code, meet, limits=Limits(time=PATIENCE)).unwrap() == [0, 1, 2, 3, 4]


def test_plain_tools_run_in_parallel_through_to_thread() -> None:
    barrier = threading.Barrier(4)

    def meet(n: int) -> int:
        barrier.wait(PATIENCE)
        return n

    code = "import asyncio\nawait asyncio.gather(*(asyncio.to_thread(meet, i) for i in range(4)))"
    assert run(code, meet, limits=Limits(time=PATIENCE)).unwrap() == [0, 1, 2, 3]


def test_a_call_that_the_guest_cancels() -> None:
    cancelled = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    code = "import asyncio\ntry:\n    await asyncio.wait_for(forever(), 0.05)\nexcept TimeoutError:\n    r = 'late'\nr"
    result = run(code, forever)
    assert result.unwrap() == "late"
    assert cancelled.wait(PATIENCE)
    assert [call.outcome for call in result.calls] == ["cancelled"]


def test_calls_left_running_end_with_the_run() -> None:
    cancelled = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    result = run("import asyncio\nt = asyncio.ensure_future(forever())\nawait asyncio.sleep(0.01)\n'done'", forever)
    assert result.unwrap() == "done"
    assert cancelled.wait(PATIENCE)


def test_one_failure_among_many() -> None:
    async def half(n: int) -> int:
        if n == 2:
            raise ValueError("two")
        return n

    code = "import asyncio\n[repr(x) for x in await asyncio.gather(*map(half, range(4)), return_exceptions=True)]"
    assert run(code, half).unwrap() == ["0", "1", "ValueError('two')", "3"]


def test_coroutine_tools_run_on_the_callers_loop() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def where() -> None:
        loops.append(asyncio.get_running_loop())

    async def main() -> asyncio.AbstractEventLoop:
        await Sandbox(tools=Functions(where)).arun("await where()")
        return asyncio.get_running_loop()

    assert [asyncio.run(main())] == loops


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest.mark.parametrize("blocks", [False, True])
def test_tools_see_the_callers_context(blocks: bool) -> None:
    def read() -> str:
        return variable.get()

    async def read_later() -> str:
        return variable.get()

    token = variable.set("mine")
    try:
        code = "import asyncio\n(read(), await asyncio.to_thread(read), await read_later())"
        result = Sandbox(tools=Functions(read, read_later, blocks=blocks)).run(code)
        assert result.unwrap()[:2] == ("mine", "mine")
    finally:
        variable.reset(token)


def test_a_tool_may_use_a_sandbox_of_its_own() -> None:
    inner = Sandbox()

    def nested(n: int) -> Any:
        return inner.run(f"{n} * 2").unwrap()

    assert run("[nested(i) for i in range(5)]", nested).unwrap() == [0, 2, 4, 6, 8]


def test_nested_sandboxes_end_for_themselves() -> None:
    inner = Sandbox(limits=Limits(fuel=10_000_000))

    def nested() -> str:
        return type(inner.run("while True: pass").error).__name__

    assert run("nested(), nested()", nested).unwrap() == ("FuelExhausted", "FuelExhausted")


def test_a_tool_that_recurses_through_sandboxes_ends() -> None:
    def deeper(n: int) -> Any:
        result = box.run(f"deeper({n + 1})")
        return n if result.error is not None else result.value

    box = Sandbox(tools=Functions(deeper), limits=Limits(time=PATIENCE))
    assert box.run("deeper(0)").unwrap() in range(1, 1_000)


def test_many_calls_in_a_row() -> None:
    def add(a: int, b: int) -> int:
        return a + b

    code = "total = 0\nfor i in range(5_000): total = add(total, i)\ntotal"
    result = run(code, add, limits=Limits(calls=5_000))
    assert result.unwrap() == sum(range(5_000))
    assert len(result.calls) == 5_000


def test_an_answer_larger_than_the_guests_first_buffer() -> None:
    def text(n: int) -> str:
        return "é" * n

    for size in (10, 10_000, 1_000_000):
        assert run(f"len(text({size}))", text).unwrap() == size
