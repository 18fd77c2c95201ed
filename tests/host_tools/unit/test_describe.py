"""What the guest is told, and what a model that speaks JSON is told."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NotRequired

import pytest
from pydantic import BaseModel, Field, SecretStr
from typing_extensions import TypedDict

from cloche.host_tools import Tool, ToolRegistry, tool
from cloche.runtime.values import decode, encode


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Item(BaseModel):
    sku: str = Field(description="as on the label", validation_alias="SKU")
    count: int = 1


class Box(TypedDict):
    width: int
    height: NotRequired[int]


@dataclass
class Order:
    items: list[Item]
    colour: Colour
    box: Box | None = None
    tags: list[str] = field(default_factory=list[str])


@dataclass
class Receipt:
    total: float


@tool
def buy(order: Order, /, *extra: int, fast: bool = False, **notes: str) -> Receipt:
    """Buy things.

    Args:
        fast: By plane.
    """
    return Receipt(1.0)


def test_the_parameters_of_a_spec_rebuild_the_signature() -> None:
    spec = buy.spec()
    kinds = {int(p.kind): p.kind for p in inspect.signature(buy).parameters.values()}
    found = [
        inspect.Parameter(name, kinds[kind], default=default if has_default else inspect.Parameter.empty)
        for name, kind, has_default, default, _ in spec["params"]
    ]
    real = [p.replace(annotation=inspect.Parameter.empty) for p in inspect.signature(buy).parameters.values()]
    assert found == real
    assert [parameter[4] for parameter in spec["params"]] == ["Order", "int", "bool", "str"]
    assert (spec["name"], spec["returns"], spec.get("async")) == ("buy", "Receipt", False)


def test_the_help_text_lists_the_fields_of_every_type() -> None:
    assert buy.spec()["doc"] == (
        "Buy things.\n\nArgs:\n    fast: By plane.\n\n"
        "Order (pass a dict with):\n"
        "    items: list[Item]\n    colour: Colour\n    box: Box | None, optional\n    tags: list[str], optional\n\n"
        "Item (pass a dict with):\n    SKU: str  # as on the label\n    count: int = 1\n\n"
        "Colour, one of: 'red', 'blue'\n\n"
        "Box (pass a dict with):\n    width: int\n    height: int, optional\n\n"
        "Receipt (in the result, an object with):\n    total: float"
    )


def test_descriptions_outside_the_docstring_are_added() -> None:
    @tool(description="Find it.")
    def find(what: Annotated[str, Field(description="its name")], where: str) -> str:
        return what + where

    assert find.spec()["doc"] == "Find it.\n\nArgs:\n    what: its name"


def test_a_type_that_holds_itself_is_described_once() -> None:
    @tool
    def grow(tree: Tree) -> int:
        return len(tree.children)

    assert grow.spec()["doc"] == "Tree (pass a dict with):\n    children: list[Tree]"
    assert grow.invoke([{"children": [{"children": []}]}], {}) == 1


class Tree(BaseModel):
    children: "list[Tree]"


class _Opaque:
    pass


OPAQUE = _Opaque()
SECRET = SecretStr("s3cret")


@pytest.mark.parametrize(
    ("default", "shown"),
    [
        (3, 3),
        (None, None),
        ("text", "text"),
        ((1, 2), (1, 2)),
        ("x" * 2_000, None),
        (_Opaque(), None),
        (SECRET, None),
        (Path("/srv/data"), None),
        (lambda: 1, None),
    ],
)
def test_defaults_that_cannot_or_should_not_cross_are_shown_as_none(default: Any, shown: Any) -> None:
    registry = ToolRegistry()

    def keep(value: Any = default) -> Any:
        return value

    registry["keep"] = keep
    (spec,) = registry.specs()
    assert spec["params"] == [["value", 1, True, shown, ""]]
    assert registry.call("keep", [], {}) is default


def test_specs_can_cross_the_bridge() -> None:
    specs: Any = ToolRegistry([buy]).specs()
    assert decode(encode(specs)) == specs


def test_a_spec_has_the_name_of_the_key() -> None:
    assert [spec["name"] for spec in ToolRegistry({"purchase": buy}).specs()] == ["purchase"]


def test_an_object_is_described_like_a_function() -> None:
    class Buy(Tool):
        """Buys."""

        name = "buy"

        async def forward(self, box: Box) -> None:
            """Not this."""

    spec = Buy().spec()
    assert spec["params"] == [["box", 1, False, None, "Box"]]
    assert spec["doc"].startswith("Buys.\n\nBox (pass a dict with):")
    assert (spec["returns"], spec.get("async")) == ("None", True)


def test_the_schema_of_the_arguments() -> None:
    schema = buy.schema
    assert schema["properties"]["order"] == {"$ref": "#/$defs/Order"}
    assert schema["properties"]["extra"] == {"type": "array", "items": {"type": "integer"}}
    assert schema["properties"]["fast"] == {"type": "boolean", "description": "By plane.", "default": False}
    assert schema["additionalProperties"] == {"type": "string"}
    assert schema["required"] == ["order"]
    assert sorted(schema["$defs"]) == ["Box", "Colour", "Item", "Order"]


def test_a_schema_exists_for_types_that_json_cannot_say() -> None:
    @tool
    def odd(call: Callable[[], None], value: Any = OPAQUE) -> None: ...

    assert odd.schema == {
        "type": "object",
        "properties": {"call": {}, "value": {}},
        "required": ["call"],
        "additionalProperties": False,
    }
