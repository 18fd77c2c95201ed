"""Tools described by JSON schema: what a call may look like, and what is sent."""

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.host_tools import ToolRejected
from cloche.host_tools.external import SchemaTool
from cloche.host_tools.json_schema import annotation_of
from cloche.host_tools.names import check_name, safe_name, safe_tool_name


def echo(schema: dict[str, Any]) -> SchemaTool:
    return SchemaTool("echo", "Send it back.", schema, lambda arguments: arguments)


def sent(properties: dict[str, Any], required: list[str], *args: Any, **kwargs: Any) -> Any:
    return echo({"type": "object", "properties": properties, "required": required}).invoke(list(args), kwargs)


@pytest.mark.parametrize(
    ("schema", "annotation"),
    [
        ({"type": "string"}, str),
        ({"type": "integer"}, int),
        ({"type": "number"}, float),
        ({"type": ["string", "null"]}, str | None),
        ({"type": "array", "items": {"type": "integer"}}, list[int]),
        ({"type": "array"}, list[Any]),
        ({"type": "object"}, dict[str, Any]),
        ({"type": "object", "additionalProperties": {"type": "number"}}, dict[str, float]),
        ({"enum": ["a", "b"]}, Literal["a", "b"]),
        ({"const": 3}, Literal[3]),
        ({"enum": [[1], [2]]}, Any),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, int | None),
        ({"$ref": "#/$defs/Unit"}, Literal["C", "F"]),
        ({"$ref": "#/$defs/Loop"}, Any),
        ({"$ref": "#/no/where"}, Any),
        ({}, Any),
        (True, Any),
        ({"type": "frobnicate"}, Any),
        ({"anyOf": "nonsense", "enum": "nonsense"}, Any),
    ],
)
def test_annotations(schema: Any, annotation: Any) -> None:
    root = {"$defs": {"Unit": {"enum": ["C", "F"]}, "Loop": {"$ref": "#/$defs/Loop"}}}
    assert annotation_of(schema, root) == annotation


def test_required_come_first_and_defaults_are_shown() -> None:
    tool = echo(
        {
            "properties": {"b": {"type": "integer", "default": 3}, "a": {"type": "string", "description": "first"}},
            "required": ["a"],
        }
    )
    assert [(p.name, p.required, p.description) for p in tool.inputs] == [("a", True, "first"), ("b", False, "")]
    assert tool.spec()["params"][1][2:4] == [True, 3]


def test_a_renamed_property_cannot_come_in_by_its_own_name_as_well() -> None:
    called: list[Any] = []
    schema = {"type": "object", "properties": {"class": {"type": "string"}}, "additionalProperties": {"type": "string"}}
    tool = SchemaTool("f", "", {**schema, "required": ["class"]}, called.append)
    with pytest.raises(ToolRejected, match="unexpected argument 'class'"):
        tool.invoke(["judged"], {"class": "sent"})
    tool.invoke(["judged"], {"other": "x"})
    assert called == [{"class": "judged", "other": "x"}]


def test_only_what_was_given_is_sent() -> None:
    properties = {"a": {"type": "string"}, "b": {"type": "integer", "default": 3}, "c": {"type": "string"}}
    assert sent(properties, ["a"], "x") == {"a": "x"}
    assert sent(properties, ["a"], "x", c=None, b=4) == {"a": "x", "b": 4}


def test_null_is_sent_where_it_means_something() -> None:
    assert sent({"a": {"type": ["string", "null"]}}, ["a"], None) == {"a": None}


def test_keys_that_are_no_names() -> None:
    properties = {"content-type": {"type": "string"}, "class": {"type": "string"}, "2nd": {}, "_id": {}, "n2nd": {}}
    tool = echo({"properties": properties, "required": list(properties)})
    assert [p.name for p in tool.inputs] == ["content_type", "class_", "n2nd", "id", "n2nd_2"]
    assert tool.invoke(["a", "b", 1, 2, 3], {}) == dict(zip(properties, ["a", "b", 1, 2, 3], strict=True))


def test_values_become_json() -> None:
    assert sent({"a": {}}, ["a"], {"x": (1, 2), "y": b"\x00"}) == {"a": {"x": [1, 2], "y": "AA=="}}
    with pytest.raises(ToolRejected, match="'a': this tool takes JSON data"):
        sent({"a": {}}, ["a"], object())


def test_wrong_types_are_refused() -> None:
    with pytest.raises(ToolRejected, match=r"a\[1\]"):
        sent({"a": {"type": "array", "items": {"type": "integer"}}}, ["a"], [1, "x"])


def test_more_keys_where_the_schema_allows_them() -> None:
    tool = echo({"properties": {"a": {}}, "required": ["a"], "additionalProperties": True})
    assert tool.invoke([1], {"other": 2}) == {"a": 1, "other": 2}
    with pytest.raises(ToolRejected, match="'other'"):
        echo({"properties": {"a": {}}}).invoke([1], {"other": 2})


def test_the_keys_of_objects_are_described() -> None:
    inner = {"type": "object", "properties": {"x": {}, "y": {}}, "required": ["x"], "description": "A point."}
    assert "A point. (keys: x, y (optional))" in echo({"properties": {"at": inner}}).spec()["doc"]


@given(st.text(max_size=80), st.lists(st.text(max_size=5), max_size=3))
def test_every_name_becomes_one_that_a_tool_may_have(name: str, others: list[str]) -> None:
    taken = {safe_tool_name(other) for other in others}
    found = safe_tool_name(name, taken)
    assert check_name(found) == found
    assert found not in taken
    assert safe_name(name, taken).isidentifier()


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=5) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "enum", "anyOf", "items", "properties", "required", "$ref", "x", "const", "default"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    )
)
def test_any_schema_makes_a_tool(schema: Any) -> None:
    tool = echo({"type": "object", "properties": {"a": schema}, "required": []})
    assert tool.invoke([], {}) == {}
    assert tool.spec()["name"] == "echo"
