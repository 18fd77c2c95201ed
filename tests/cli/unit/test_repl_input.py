from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.cli.repl.loop import LineReader, is_complete, read_piece


def reader(lines: Iterable[str]) -> LineReader:
    left = iter(lines)

    def read(prompt: str) -> str:
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None

    return read


@pytest.mark.parametrize(
    "source",
    ["", "x = 1", "await tool()", "# note", "def f():\n    return 1\n", "x = [\n1]", "for", "type X = int", "\0"],
)
def test_complete(source: str) -> None:
    assert is_complete(source)


@pytest.mark.parametrize(
    "source", ["def f():", "x = [1,", "'''text", "async with a:", "if x:\n    y", "x = 1 + \\", "@dec"]
)
def test_incomplete(source: str) -> None:
    assert not is_complete(source)


@given(st.text())
def test_any_text_gets_an_answer(source: str) -> None:
    assert is_complete(source) in (True, False)


def test_a_function_ends_with_a_blank_line() -> None:
    read = reader(["def f():", "    return 1", "", "f()"])
    assert read_piece(read) == "def f():\n    return 1\n"
    assert read_piece(read) == "f()"
    with pytest.raises(EOFError):
        read_piece(read)


def test_the_end_of_the_input_ends_a_function() -> None:
    assert read_piece(reader(["def f():", "    return 1"])) == "def f():\n    return 1"


def test_a_command_is_one_line() -> None:
    assert read_piece(reader([":put (", "x"])) == ":put ("


def test_a_piece_typed_without_a_blank_line_is_handed_over_whole() -> None:
    assert read_piece(reader(["if 1:", "    x = 2", "x", ""])) == "if 1:\n    x = 2\nx"
