"""Code and tool calls in what models write."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.agent.errors import ReplyUnparsable
from cloche.agent.parsing import find_code, find_tool_calls

TAGS = ("<code>", "</code>")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("I add.\n<code>\nx = 1\nprint(x)\n</code>", "x = 1\nprint(x)"),
        ("<code>x = 1</code> and <code>y = 2</code>", "x = 1\n\ny = 2"),
        ("The stop text ended it: <code>\nx = 1\n", "x = 1"),
        ("```python\nx = 1\n```", "x = 1"),
        ("```\nx = 1\n```\nthen\n```py\ny = 2\n```", "x = 1\n\ny = 2"),
        ("<code>\n```python\nx = 1\n```\n</code>", "x = 1"),
        ("<code>\n    indented = 1\n</code>", "    indented = 1"),
        ("<code></code> nothing there\n```python\nx = 1\n```", "x = 1"),
    ],
)
def test_code_is_found_however_models_mark_it(text: str, code: str) -> None:
    assert find_code(text, TAGS) == code


@pytest.mark.parametrize("text", ["", "   \n", "The answer is 42.", "<code>\n\n</code>"])
def test_a_reply_without_code_says_how_to_write_it(text: str) -> None:
    with pytest.raises(ReplyUnparsable, match="<code>\nprint"):
        find_code(text, TAGS)


def test_other_tags_are_used_where_they_are_set() -> None:
    assert find_code("[py]\nx = 1\n[/py]", ("[py]", "[/py]")) == "x = 1"


@given(st.text())
def test_any_text_gives_code_or_a_typed_error(text: str) -> None:
    with contextlib.suppress(ReplyUnparsable):
        assert find_code(text, TAGS).strip()


@given(st.text(alphabet='{}[]":,namearguts 1\\'))
def test_any_text_gives_tool_calls_or_a_typed_error(text: str) -> None:
    with contextlib.suppress(ReplyUnparsable):
        assert all(call.arguments is not None for call in find_tool_calls(text))


WRITTEN: list[tuple[str, list[tuple[str, dict[str, object]]]]] = [
    ('I call {"name": "add", "arguments": {"a": 1}}', [("add", {"a": 1})]),
    ('[{"name": "f", "arguments": {}}, {"name": "g", "parameters": {"x": [1]}}]', [("f", {}), ("g", {"x": [1]})]),
    ('{"broken": } {"name": "f", "arguments": {}}', [("f", {})]),
]


@pytest.mark.parametrize(("text", "calls"), WRITTEN)
def test_tool_calls_are_found_in_text(text: str, calls: list[tuple[str, dict[str, object]]]) -> None:
    found = find_tool_calls(text)
    assert [(call.name, call.arguments) for call in found] == calls
    assert len({call.id for call in found}) == len(found)


def test_deep_json_is_an_unparsable_reply() -> None:
    with pytest.raises(ReplyUnparsable, match="final_answer"):
        find_tool_calls("[" * 50_000)
