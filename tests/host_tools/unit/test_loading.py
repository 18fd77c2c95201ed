import sys
from pathlib import Path
from types import ModuleType

import pytest

from cloche.host_tools import Tool, ToolDefinitionError, from_object, tool


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module named `shop` with one of each thing that a reference can mean."""

    class Stock(Tool):
        name = "stock"

        def forward(self, sku: str) -> int:
            return len(sku)

    class Desk(Stock):
        def __init__(self, number: int) -> None:
            self.number = number

    class Place:
        @staticmethod
        def open_at(hour: int) -> bool:
            return hour > 8

    def lookup(city: str) -> str:
        return city.upper()

    lookup.__module__ = "shop"
    shop = ModuleType("shop")
    vars(shop).update(lookup=lookup, typed=tool(lookup), Stock=Stock, Desk=Desk, desk=Desk(1), Place=Place, limit=3)
    monkeypatch.setitem(sys.modules, "shop", shop)
    return shop


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("reference", "name", "argument", "value"),
    [
        ("shop:lookup", "lookup", "oslo", "OSLO"),
        ("shop:typed", "lookup", "oslo", "OSLO"),
        ("shop:Stock", "stock", "abc", 3),
        ("shop:desk", "stock", "abc", 3),
        ("shop:Place.open_at", "open_at", 9, True),
        ("math:sqrt", "sqrt", 9, 3.0),
    ],
)
def test_references_become_tools(reference: str, name: str, argument: object, value: object) -> None:
    found = from_object(reference)
    assert found.name == name
    assert found.invoke([argument], {}) == value


def test_a_tool_comes_back_as_itself(module: ModuleType) -> None:
    assert from_object("shop:typed") is module.typed


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("shop", "write it as module:function"),
        ("shop:", "write it as module:function"),
        (":lookup", "write it as module:function"),
        ("no_such_module_here:f", "cannot be imported .ModuleNotFoundError: No module named 'no_such_module_here'"),
        ("shop:look", "the module 'shop' has no 'look'; it has lookup"),
        ("shop:lookup.x", "'function' has no 'x'"),
        ("shop:limit", "it is a int, not a function or a Tool"),
        ("shop:Desk", "Desk needs arguments"),
        ("shop:Place", "it is a class"),
    ],
)
def test_wrong_references_say_which_step_failed(reference: str, words: str) -> None:
    with pytest.raises(ToolDefinitionError, match=words):
        from_object(reference)


def test_a_module_that_raises_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_tools.py").write_text("1 / 0\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(ToolDefinitionError, match="ZeroDivisionError: division by zero"):
        from_object("broken_tools:f")
