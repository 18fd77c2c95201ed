from typing import Any

import pytest

from cloche.host_tools.display import brief, brief_with_type


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Oslo", "'Oslo'"),
        ("x" * 100, repr("x" * 60) + "..."),
        (b"x" * 100, repr(b"x" * 60) + "..."),
        ([1, 2], "[1, 2]"),
        ([1, 2, 3, 4, 5], "[1, 2, 3, 4, ...]"),
        ([[[[1]]]], "[[...]]"),
        ({"a": 1}, "{'a': 1}"),
        ({(1, 2): 1}, "{...: 1}"),
        ((1,), "(1)"),
        (frozenset({1}), "frozenset({1})"),
        (ValueError("/home/me"), "ValueError"),
    ],
)
def test_values_in_a_few_words(value: Any, text: str) -> None:
    assert brief(value) == text


def test_a_large_int_is_not_written_out() -> None:
    assert brief(1 << 100_000) == "a very large int"  # and no "exceeds the limit for conversion"


def test_the_class_is_named_unless_the_text_says_it() -> None:
    assert brief_with_type(3) == "3 (int)"
    assert brief_with_type(None) == "None"
    assert brief_with_type(ValueError("x")) == "ValueError"


def test_methods_of_the_value_are_not_called() -> None:
    class Loud(str):
        def __repr__(self) -> str:
            raise AssertionError("called")

    assert brief(Loud("x")) == "Loud"
    assert brief([Loud("x")]) == "[Loud]"
