"""What type checkers see: they check this file, and `assert_type` fails there, not at run time."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, assert_type

from cloche.host_tools import FunctionTool, Tool, ToolRegistry, tool
from cloche.runtime.dispatch import Dispatcher


@tool
def lookup(city: str, *, days: int = 3) -> dict[str, int]:
    return {city: days}


@tool(name="find_it", blocking=False)
def find(what: str) -> bytes:
    return what.encode()


@tool
async def fetch(url: str) -> str:
    return url


class Shelf(Tool):
    name = "shelf"

    def forward(self, row: int) -> str:
        return str(row)


def test_a_decorated_function_keeps_its_signature() -> None:
    assert_type(lookup("Oslo", days=2), dict[str, int])
    assert_type(find("x"), bytes)
    assert lookup("Oslo") == {"Oslo": 3}


def test_a_wrong_call_is_an_error_for_the_checker() -> None:
    assert lookup(3) == {3: 3}  # type: ignore[arg-type, comparison-overlap]  # pyright: ignore
    assert find(what="x") == b"x"


def test_a_coroutine_function_stays_one() -> None:
    awaited: Coroutine[Any, Any, str] = fetch("x")
    assert_type(asyncio.run(awaited), str)


def test_the_registry_is_a_mapping_of_tools_and_a_dispatcher() -> None:
    registry = ToolRegistry([lookup, Shelf()])
    registry["find"] = find
    registry["plain"] = str.upper
    dispatcher: Dispatcher = registry
    assert_type(registry["find"], Tool)
    assert_type(iter(registry), Iterator[str])
    assert dispatcher.version() == registry.version()


def test_a_tool_object() -> None:
    shelf = Shelf()
    assert_type(shelf.forward(3), str)
    assert_type(tool(shelf.forward)(3), str)
    assert isinstance(tool(shelf.forward), FunctionTool)
