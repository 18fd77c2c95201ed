"""Programs are cut into statements and a last expression as the compiler itself would see them."""

from collections.abc import Iterator

import pytest

from cloche.runtime.errors import GuestException
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.session import Session


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Sandbox().session() as session:
        yield session


@pytest.mark.parametrize(
    ("program", "value"),
    [
        ("", None),
        ("# nothing", None),
        ("1 + 1", 2),
        ("'text'", "text"),
        ("'doc'\n1", 1),
        ("x = 3", None),
        ("x = 3; x", 3),
        ("x = 3\nx;", 3),
        ("if True:\n    7", None),
        ("for i in range(3): i", None),
        ("def f(): return 5\nf()", 5),
        ("(yes := 4)", 4),
        ("lambda: 1\n(lambda: 2)()", 2),
        ("import asyncio\nawait asyncio.sleep(0, 9)", 9),
        ("import asyncio\ny = await asyncio.sleep(0, 8)\ny + 1", 9),
        ("[x async for x in __import__('cloche_guest.step') and g()] if False else 1", 1),
        ("from __future__ import annotations\nx: missing = 1\nx", 1),
        ("é = 'ä'\né", "ä"),
        ("# -*- coding: latin-1 -*-\n'é'", "é"),
        ("x = 1\r\nx\r\n", 1),
    ],
)
def test_value_of_the_last_expression(session: Session, program: str, value: object) -> None:
    assert session.run(program).unwrap() == value


@pytest.mark.parametrize(
    ("program", "name", "line"),
    [
        ("x = 1\ny = (", "SyntaxError", 2),
        ("\n\nreturn 5", "SyntaxError", 3),
        ("if True:\nx", "IndentationError", 2),
        ("x = 1\n  y", "IndentationError", 2),
        ("if 1:\n\tx\n        y", "TabError", 3),
        ("a\0b", "SyntaxError", None),
        ("1 = 2", "SyntaxError", 1),
        ("'abc", "SyntaxError", 1),
        ("f'{", "SyntaxError", 1),
    ],
)
def test_errors_have_their_line(session: Session, program: str, name: str, line: int | None) -> None:
    error = session.run(program).error
    assert isinstance(error, GuestException)
    assert (error.type_name, error.line) == (name, line)


@pytest.mark.parametrize("text", ["(" * 5_000, "-" * 100_000 + "1", "[" * 201 + "]" * 201, "a." * 50_000 + "b"])
def test_text_beyond_the_compiler_ends_in_an_error(session: Session, text: str) -> None:
    session.run("kept = 1")
    result = session.run(text)
    assert result.error is not None
    assert session.run("kept").unwrap() == 1


def test_the_same_text_twice_shows_its_own_lines(session: Session) -> None:
    for _ in range(2):
        error = session.run("def boom():\n    raise ValueError('here')\nboom()").error
        assert isinstance(error, GuestException)
        assert "raise ValueError('here')" in error.traceback
        assert error.line == 2
