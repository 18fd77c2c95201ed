"""Tools as a program in the real guest meets them: calls, values, errors, and who runs where."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from cloche.host_tools import Tool, ToolRegistry, tool
from cloche.runtime.errors import GuestException
from cloche.runtime.sandbox import Sandbox


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Item(BaseModel):
    name: str
    price: Decimal
    tags: list[str] = []


@dataclass
class Place:
    city: str
    north: float


@tool
def add(a: int, b: int = 10) -> int:
    """Add two numbers.

    Args:
        a: the first
        b: the second
    """
    return a + b


@tool
async def slow_add(a: int, b: int = 10) -> int:
    """Add two numbers, in its own time."""
    await asyncio.sleep(0)
    return a + b


@tool
def total(items: list[Item], colour: Colour = Colour.RED) -> dict[str, Decimal]:
    """Add prices up by colour."""
    assert all(type(item) is Item for item in items)
    return {colour.value: sum((item.price for item in items), Decimal())}


@tool
def locate(city: str) -> Place:
    """Find a city."""
    return Place(city, 59.9)


@tool
def weekday(day: date) -> str:
    """Name a day."""
    return day.strftime("%A")


@tool
def mode(which: Literal["fast", "slow"], **options: int) -> list[Any]:
    """Set a mode."""
    return [which, options]


class Counter(Tool):
    """Count up.

    Args:
        step: how far
    """

    name = "count"

    def __init__(self) -> None:
        self.value = 0
        self.prepared = 0

    def setup(self) -> None:
        self.prepared += 1

    def forward(self, step: int = 1) -> int:
        self.value += step
        return self.value


ALL = [add, slow_add, total, locate, weekday, mode]


def run(code: str, *more: Any) -> Any:
    return Sandbox(tools=[*ALL, *more]).run(code).unwrap()


def failure(code: str) -> GuestException:
    error = Sandbox(tools=ALL).run(code).error
    assert isinstance(error, GuestException)
    return error


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("add(1)", 11),
        ("add(b=1, a=2)", 3),
        ("add(True, 1)", 2),
        ("await slow_add(1)", 11),
        ("total([{'name': 'x', 'price': '1.10'}, {'name': 'y', 'price': 2}], 'blue')", {"blue": Decimal("3.10")}),
        ("p = locate('Oslo')\np.city, p.north", ("Oslo", 59.9)),
        ("import datetime\nweekday(datetime.date(2026, 11, 21))", "Saturday"),
        ("weekday('2026-11-21')", "Saturday"),
        ("mode('fast', a=1)", ["fast", {"a": 1}]),
        ("import asyncio\nawait asyncio.gather(slow_add(1, 2), slow_add(3))", [3, 13]),
        ("import asyncio\nawait asyncio.to_thread(add, 1, 2)", 3),
        ("sorted([3, 1, 2], key=add)", [1, 2, 3]),
        ("list(map(add, [1, 2], [3, 4]))", [4, 6]),
    ],
)
def test_calls_give_values(code: str, value: Any) -> None:
    assert run(code) == value


def test_a_record_that_a_tool_gave_can_be_given_to_another() -> None:
    @tool
    def north(place: Place) -> float:
        """Return how far north it is."""
        assert type(place) is Place
        return place.north

    assert run("north(locate('Oslo'))", north) == 59.9


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("add('x')", "TypeError|ValueError", ["add()", "'a'", "integer", "'x' (str)"]),
        ("add()", "TypeError", ["add()", "missing", "'a'"]),
        ("add(1, 2, 3)", "TypeError", ["add()", "2", "3 were given"]),
        ("add(1, c=2)", "TypeError", ["add()", "'c'"]),
        ("add(1, a=2)", "TypeError", ["add()", "'a'"]),
        ("add(None)", "TypeError", ["'a'", "integer", "None"]),
        ("add(1.5)", "ValueError", ["'a'", "integer", "1.5"]),
        ("mode('medium')", "ValueError", ["'which'", "'fast' or 'slow'", "'medium'"]),
        ("mode('fast', a='b')", "TypeError|ValueError", ["'a'", "integer", "'b'"]),
        ("total([{'name': 'x'}])", "TypeError", ["items[0].price", "required"]),
        ("total([{'name': 'x', 'price': 'much'}])", "TypeError|ValueError", ["items[0].price", "'much'"]),
        ("total([], 'green')", "ValueError", ["'colour'", "'red' or 'blue'", "'green'"]),
        ("await slow_add('x')", "TypeError|ValueError", ["slow_add()", "'a'", "integer"]),
        ("weekday('someday')", "ValueError", ["'day'", "date", "'someday'"]),
        ("add(object())", "TypeError", ["'a'", "object"]),
    ],
)
def test_wrong_calls_say_what_was_expected(code: str, kind: str, words: list[str]) -> None:
    error = failure(code)

    assert error.type_name in kind.split("|")
    assert [word for word in words if word not in error.message] == []


def test_wrong_calls_can_be_caught_by_the_program() -> None:
    code = "try:\n    add('x')\nexcept (TypeError, ValueError) as error:\n    answer = type(error).__name__\nanswer"
    assert run(code) in ("TypeError", "ValueError")


def test_the_failed_call_stands_in_the_traceback_with_its_line() -> None:
    error = failure("x = 1\ny = add('one')\n")

    assert error.line == 2
    assert "y = add('one')" in error.traceback


def test_setup_runs_once_and_state_is_the_hosts() -> None:
    counter = Counter()
    box = Sandbox(tools=[counter])

    assert [box.run("count(2)").unwrap(), box.run("count()").unwrap()] == [2, 3]
    assert counter.prepared == 1


def test_a_setup_that_fails_is_tried_again_and_told_to_the_program() -> None:
    class Fragile(Counter):
        def setup(self) -> None:
            super().setup()
            if self.prepared == 1:
                raise ConnectionError("not yet")

        def forward(self, step: int = 1) -> int:
            return step

    box = Sandbox(tools={"fragile": Fragile()})
    first = box.run("fragile()").error

    assert isinstance(first, GuestException)
    assert first.type_name == "ConnectionError"
    assert box.run("fragile()").unwrap() == 1


def test_a_tools_own_exception_reaches_the_guest_without_anything_of_the_host() -> None:
    @tool
    def read(name: str) -> str:
        """Read a note."""
        return Path("/secret-place", name).read_text(encoding="utf-8")

    result = Sandbox(tools=[read]).run("read('diary')")

    assert isinstance(result.error, GuestException)
    assert result.error.type_name == "FileNotFoundError"
    told = f"{result.error.message}{result.error.traceback}{result.stderr}"
    assert "secret-place" not in told
    assert __file__ not in told


def test_the_hosts_record_keeps_the_whole_exception() -> None:
    @tool
    def fail(reason: str) -> None:
        """Fail."""
        raise LookupError(reason)

    record = Sandbox(tools=[fail]).run("fail('gone')").calls[0]

    assert record.outcome == "raised"
    assert isinstance(record.error, LookupError)
    assert record.error.__traceback__ is not None
    assert (record.name, record.args, record.kwargs) == ("fail", ["gone"], {})


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_exceptions_that_end_a_host_do_not_end_this_one(kind: type[BaseException]) -> None:
    @tool
    def leave() -> None:
        """Leave."""
        raise kind("stop")

    result = Sandbox(tools=[leave]).run("leave()")

    assert not result.ok
    assert Sandbox().run("1 + 1").unwrap() == 2


def test_exceptions_of_the_tools_own_classes_keep_their_name_in_the_guest() -> None:
    class OutOfStock(Exception):
        pass

    @tool
    def order() -> None:
        """Order."""
        raise OutOfStock("none left")

    code = "try:\n    order()\nexcept Exception as error:\n    seen = type(error).__name__, str(error)\nseen"
    assert run(code, order) == ("OutOfStock", "none left")


def test_a_result_that_cannot_cross_says_where() -> None:
    @tool
    def handle() -> dict[str, Any]:
        """Return what no guest can have."""
        return {"rows": [1, threading.Lock()]}

    result = Sandbox(tools=[handle]).run("handle()")

    assert isinstance(result.error, GuestException)
    assert result.error.type_name == "TypeError"
    assert "result['rows'][1]" in result.error.message


def test_async_tools_run_side_by_side_on_the_host() -> None:
    together = asyncio.Barrier(3)

    @tool
    async def meet(name: str) -> str:
        """Wait until all three are there."""
        await together.wait()
        return name

    code = "import asyncio\nawait asyncio.gather(meet('a'), meet('b'), meet('c'))"
    # One after the other, the first would wait for ever and the run would end at its deadline.
    assert run(code, meet) == ["a", "b", "c"]


def test_plain_tools_run_side_by_side_in_threads() -> None:
    together = threading.Barrier(2)

    @tool
    def meet(name: str) -> str:
        """Wait until both are there."""
        together.wait()
        return name

    code = "import asyncio\nawait asyncio.gather(asyncio.to_thread(meet, 'a'), asyncio.to_thread(meet, 'b'))"
    assert run(code, meet) == ["a", "b"]


def test_async_tools_of_async_callers_run_on_their_loop() -> None:
    async def main() -> tuple[Any, asyncio.AbstractEventLoop]:
        seen: list[asyncio.AbstractEventLoop] = []

        @tool
        async def where() -> int:
            """Say where it runs."""
            seen.append(asyncio.get_running_loop())
            return 7

        value = (await Sandbox(tools=[where]).arun("await where()")).unwrap()
        assert seen == [asyncio.get_running_loop()]
        return value, seen[0]

    assert asyncio.run(main())[0] == 7


@pytest.mark.parametrize("make", [lambda: [add], lambda: {"add": add}, lambda: ToolRegistry([add]), lambda: add])
def test_every_form_of_a_set_of_tools(make: Callable[[], Any]) -> None:
    assert Sandbox(tools=make()).run("add(1, 2)").unwrap() == 3


def test_plain_functions_are_tools_too() -> None:
    def double(number):  # type: ignore[no-untyped-def]  # pyright: ignore[reportUnknownParameterType, reportMissingParameterType]
        return number * 2  # pyright: ignore[reportUnknownVariableType]

    assert Sandbox(tools=[double]).run("double('ab')").unwrap() == "abab"
