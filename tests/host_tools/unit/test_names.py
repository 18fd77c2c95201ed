from typing import Any

import pytest

from cloche.host_tools.errors import ToolDefinitionError
from cloche.host_tools.names import check_name


@pytest.mark.parametrize("name", ["lookup", "find_2", "search", "größe", "x" * 64, "match"])
def test_identifiers_are_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "identifier"),
        ("a b", "identifier"),
        ("a.b", "identifier"),
        ("1a", "identifier"),
        ("x" * 65, "at most 64"),
        ("for", "keyword"),
        ("None", "keyword"),
        ("_", "underscore"),
        ("_private", "underscore"),
        ("__import__", "underscore"),
        ("sum", "hide the builtin"),
        ("help", "hide the builtin"),
        ("\ufb01nd", "reads it as 'find'"),
        (3, "expected a string, got int"),
    ],
)
def test_other_names_are_refused_with_the_reason(name: Any, words: str) -> None:
    with pytest.raises(ToolDefinitionError, match=words):
        check_name(name)


def test_builtins_can_be_shadowed_on_request_and_nothing_else() -> None:
    assert check_name("open", shadow_builtins=True) == "open"
    with pytest.raises(ToolDefinitionError):
        check_name("__import__", shadow_builtins=True)
