"""What a JSON schema says of a result, as a model reads it."""

from typing import Any

import pytest

from cloche.host_tools.json_schema import described_fields

ROW = {"type": "object", "properties": {"id": {"type": "integer", "description": "its\n number"}}}


@pytest.mark.parametrize(
    ("schema", "lines"),
    [
        ({"type": "string"}, []),
        ({"type": "object"}, []),
        (ROW, ["a dict with:", "    id: int  # its number"]),
        ({"type": "array", "items": ROW}, ["a list, each a dict with:", "    id: int  # its number"]),
        (
            {"type": "object", "properties": {"rows": {"type": "array", "items": {"$ref": "#/$defs/Row"}}}},
            ["a dict with:", "    rows: a list, each a dict with:", "        id: int  # its number"],
        ),
        ("nonsense", []),
        ({"type": "object", "properties": {"a": 3}}, ["a dict with:", "    a: Any"]),
    ],
)
def test_keys_of_dicts_are_listed(schema: Any, lines: list[str]) -> None:
    assert described_fields(schema, {"$defs": {"Row": ROW}}) == lines


def test_a_schema_that_holds_itself_or_very_much_is_cut() -> None:
    tree: dict[str, Any] = {"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}}
    assert len(described_fields(tree, tree)) <= 50
    wide = {"type": "object", "properties": {f"key{number}": {"type": "string"} for number in range(10_000)}}
    assert len(described_fields(wide, wide)) <= 50
    bush = {"type": "object", "properties": {f"key{number}": {"$ref": "#"} for number in range(1_000)}}
    assert len(described_fields(bush, bush)) <= 50
    assert described_fields({"$ref": "#"}, {"$ref": "#"}) == []
