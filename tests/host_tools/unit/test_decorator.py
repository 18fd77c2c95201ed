"""Functions as tools."""

import asyncio
import functools
import inspect
import math
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest
from pydantic import Field

from cloche.host_tools import FunctionTool, ToolDefinitionError, ToolRegistry, tool
from cloche.runtime.errors import ConfigurationError


@tool
def lookup(city: str, days: int = 3) -> str:
    """Look up the weather.

    Args:
        city: Its name.
    """
    return f"{city} {days}"


@tool
async def fetch(url: str) -> str:
    return url


def test_a_tool_is_called_from_python_as_before() -> None:
    assert lookup("Oslo") == "Oslo 3"
    assert asyncio.run(fetch("x")) == "x"
    assert inspect.signature(lookup) == inspect.signature(lookup.__wrapped__)  # type: ignore[attr-defined]
    assert lookup.__doc__ is not None
    assert repr(lookup) == "<tool lookup>"


def test_no_check_stands_between_python_and_the_function() -> None:
    assert lookup(5) == "5 3"  # type: ignore[arg-type]


def test_what_a_tool_says_of_itself() -> None:
    assert (lookup.name, lookup.description, lookup.output) == ("lookup", "Look up the weather.", "str")
    assert [(p.name, p.required, p.description) for p in lookup.inputs] == [
        ("city", True, "Its name."),
        ("days", False, ""),
    ]


def test_functions_may_block_unless_promised_and_coroutines_do_not() -> None:
    @tool(blocking=False)
    def quick() -> int:
        return 1

    assert (lookup.is_async, lookup.blocking) == (False, True)
    assert (fetch.is_async, fetch.blocking) == (True, False)
    assert (quick.is_async, quick.blocking) == (False, False)


def test_name_and_description_can_be_given() -> None:
    @tool(name="find", description="Find it.")
    def _find(what: str) -> str:
        """Not this."""
        return what

    assert (_find.name, _find.description) == ("find", "Find it.")
    assert _find.spec()["doc"] == "Find it."


def test_a_description_in_the_annotation_comes_before_the_docstring() -> None:
    @tool
    def f(a: Annotated[int, Field(description="from here")]) -> int:
        """Do it.

        Args:
            a: not from here
        """
        return a

    assert f.inputs[0].description == "from here"


def _no_annotation(city) -> None: ...  # type: ignore[no-untyped-def]  # pyright: ignore


def _field_default(city: str = Field("x")) -> None: ...


def _unresolvable(city: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore


def _generator() -> Iterator[int]:
    yield 1


async def _async_generator() -> AsyncIterator[int]:
    yield 1


class _Opaque:
    pass


def _custom(thing: _Opaque) -> None: ...


class _Method:
    def find(self, what: str) -> str:
        return what


REFUSED: list[tuple[Any, str]] = [
    (_no_annotation, "argument 'city' has no annotation"),
    (_Method.find, "registry.add\\(thing.method\\)"),
    (_field_default, "has a Field as its default"),
    (_unresolvable, "cannot be resolved .*Nowhere"),
    (_generator, "return a list instead"),
    (_async_generator, "return a list instead"),
    (_custom, "argument 'thing' has the type _Opaque, which pydantic cannot check"),
    (_Method, "it is a class"),
    (max, "signature cannot be read"),
]


@pytest.mark.parametrize(("function", "words"), REFUSED)
def test_what_cannot_be_a_tool_is_refused_at_once(function: Any, words: str) -> None:
    with pytest.raises(ToolDefinitionError, match=words) as caught:
        tool(function)
    assert isinstance(caught.value, ConfigurationError)
    assert "http" not in str(caught.value)


def test_a_bad_name_is_refused_at_once() -> None:
    with pytest.raises(ToolDefinitionError, match="keyword"):
        tool(name="class")(lambda: 1)


def test_all_that_can_be_called_can_be_registered() -> None:
    class Shift:
        def __call__(self, number: int) -> int:
            return number + 1

    def power(base: int, exponent: int) -> int:
        return int(base**exponent)

    registry = ToolRegistry()
    registry["factorial"] = math.factorial
    registry["shift"] = Shift()
    registry["find"] = _Method().find
    registry["cube"] = functools.partial(power, exponent=3)
    assert registry.call("factorial", [5], {}) == 120
    assert registry.call("shift", ["1"], {}) == 2
    assert registry.call("find", ["x"], {}) == "x"
    assert registry.call("cube", ["2"], {}) == 8


def test_what_a_partial_has_fixed_is_hidden_and_out_of_reach() -> None:
    def query(text: str, *, key: str) -> str:
        return text + key

    bound = FunctionTool(functools.partial(query, key="secret"))
    assert bound.name == "query"
    assert "secret" not in repr(bound.spec())
    with pytest.raises(Exception, match="unexpected argument 'key'"):
        bound.invoke(["a"], {"key": "mine"})
    assert bound.invoke(["a"], {}) == "asecret"


def test_an_async_callable_object_is_async() -> None:
    class Fetch:
        async def __call__(self, url: str) -> str:
            return url

    fetcher = FunctionTool(Fetch())
    assert fetcher.is_async
    assert asyncio.run(fetcher.invoke(["x"], {})) == "x"


def test_wrong_arguments_of_a_coroutine_function_are_rejected_before_anything_is_awaited() -> None:
    with pytest.raises(Exception, match="argument 'url': Input should be a valid string"):
        fetch.invoke([1], {})
