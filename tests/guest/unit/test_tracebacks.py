"""What the host is told of an exception."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.guest.unit.conftest import Guest

LIMITS = 9


def test_an_error_has_all_its_parts(guest: "Guest") -> None:
    error = guest.fail("x = 1\ndef f():\n    return x / 0\nf()", "sums.py")
    assert error["kind"] == "exception"
    assert (error["type"], error["module"], error["message"], error["line"]) == (
        "ZeroDivisionError",
        "builtins",
        "division by zero",
        3,
    )
    lines = error["traceback"].splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].startswith('  File "sums.py", line 4, in <module>')
    assert "return x / 0" in error["traceback"]
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_only_the_program_and_the_library_show(guest: "Guest") -> None:
    error = guest.fail("import json\njson.loads('{')")
    assert "json" in error["traceback"]
    assert "raw_decode" in error["traceback"]
    assert "cloche_guest" not in error["traceback"]
    assert error["line"] == 2


@pytest.mark.usefixtures("bridge_asyncio")
def test_the_event_loop_does_not_show(guest: "Guest") -> None:
    error = guest.fail("import asyncio\nasync def f():\n    raise ValueError('in a task')\nawait asyncio.gather(f())")
    assert "cloche_guest" not in error["traceback"]
    assert "run_until_complete" not in error["traceback"]
    assert error["line"] == 3
    error = guest.fail("asyncio.run(f())")
    assert "cloche_guest" not in error["traceback"]
    assert error["line"] == 1


def test_a_function_of_an_earlier_run_shows_its_lines(guest: "Guest") -> None:
    guest.run("def divide(a, b):\n    # first\n    return a / b")
    error = guest.fail("y = 1\ndivide(y, 0)")
    assert "return a / b" in error["traceback"]
    assert error["line"] == 2


def test_syntax_errors_have_their_line(guest: "Guest") -> None:
    error = guest.fail("x = 1\ny = (", "bad.py")
    assert (error["type"], error["line"]) == ("SyntaxError", 2)
    assert error["traceback"].startswith('  File "bad.py", line 2')
    assert "y = (" in error["traceback"]


def test_errors_of_the_compiler_have_their_line(guest: "Guest") -> None:
    assert guest.fail("x = 1\nreturn x")["line"] == 2
    assert guest.fail("  x = 1")["type"] == "IndentationError"


def test_a_syntax_error_raised_by_the_program(guest: "Guest") -> None:
    assert guest.fail("\n\ncompile('(', 'other', 'exec')")["line"] == 3


def test_causes_and_contexts_show(guest: "Guest") -> None:
    error = guest.fail("try:\n    {}['k']\nexcept KeyError as e:\n    raise RuntimeError('outer') from e")
    assert "direct cause" in error["traceback"]
    assert "{}['k']" in error["traceback"]
    assert error["line"] == 4
    error = guest.fail("try:\n    {}['k']\nexcept KeyError:\n    raise RuntimeError('outer')")
    assert "During handling" in error["traceback"]


def test_groups_show_their_members(guest: "Guest") -> None:
    error = guest.fail("raise ExceptionGroup('several', [ValueError('one'), TypeError('two')])")
    assert error["type"] == "ExceptionGroup"
    assert "ValueError: one" in error["traceback"]
    assert "TypeError: two" in error["traceback"]


def test_groups_of_tasks_hide_the_sandbox(guest: "Guest") -> None:
    code = """
import asyncio
async def bad():
    raise ValueError('member')
async with asyncio.TaskGroup() as group:
    group.create_task(bad())
    group.create_task(bad())
"""
    error = guest.fail(code)
    assert error["traceback"].count("ValueError: member") == 2
    assert "cloche_guest" not in error["traceback"]


def test_recursion(guest: "Guest") -> None:
    error = guest.fail("def f():\n    return f()\nf()")
    assert error["type"] == "RecursionError"
    assert "Previous line repeated" in error["traceback"]
    assert len(error["traceback"]) < 5_000


def test_a_long_chain_is_cut(guest: "Guest") -> None:
    code = """
error = None
for i in range(5000):
    new = ValueError(i)
    new.__context__ = error
    error = new
raise error
"""
    error = guest.fail(code)
    assert error["message"] == "4999"
    assert len(error["traceback"]) <= 65_536


def test_a_cyclic_chain_ends(guest: "Guest") -> None:
    error = guest.fail("a = ValueError('a')\nb = ValueError('b')\na.__context__ = b\nb.__context__ = a\nraise a")
    assert error["message"] == "a"


@pytest.mark.parametrize(
    "body",
    ["raise TypeError('no')", "raise SystemExit", "return 1", "return self.missing", "return str(self)"],
)
def test_a_message_that_cannot_be_made(guest: "Guest", body: str) -> None:
    error = guest.fail(f"class Odd(Exception):\n    def __str__(self):\n        {body}\nraise Odd")
    assert error["type"] == "Odd"
    assert error["module"] == "__main__"
    assert error["message"].startswith("<no message: str() of the exception raised ")


def test_huge_messages_are_cut(guest: "Guest") -> None:
    error = guest.fail("raise ValueError('a' + 'x' * 10_000_000 + 'z')")
    assert len(error["message"]) == 16_384
    assert error["message"].startswith("axxx")
    assert error["message"].endswith("xxxz")
    assert "characters left out" in error["message"]
    assert len(error["traceback"]) == 65_536


@pytest.mark.parametrize("most", [0, 1, 10, 100])
def test_caps_of_any_size_hold(guest: "Guest", most: int) -> None:
    guest.ask(LIMITS, {"message": most, "traceback": most})
    error = guest.fail("raise ValueError('x' * 1000)")
    assert len(error["message"]) <= most
    assert len(error["traceback"]) <= most


def test_lone_surrogates_are_escaped(guest: "Guest") -> None:
    assert guest.fail("raise ValueError('\\ud800 here')")["message"] == "\\ud800 here"


def test_text_subclasses_are_made_plain(guest: "Guest") -> None:
    code = """
class Text(str):
    def __len__(self): return 3
    def __getitem__(self, item): raise SystemExit
class Odd(Exception):
    def __str__(self): return Text('plain')
raise Odd
"""
    assert guest.fail(code)["message"] == "plain"


def test_odd_classes(guest: "Guest") -> None:
    code = """
class Meta(type):
    @property
    def __name__(cls): raise RuntimeError
class Odd(Exception, metaclass=Meta):
    __module__ = 5
raise Odd('x')
"""
    error = guest.fail(code)
    assert (error["type"], error["module"], error["message"]) == ("Odd", "", "x")


def test_a_class_with_an_endless_name(guest: "Guest") -> None:
    error = guest.fail("E = type('E' * 10**6, (Exception,), {'__module__': 'm' * 10**6})\nraise E")
    assert (error["type"], error["module"]) == ("E" * 200, "m" * 200)


def test_the_next_run_is_not_affected(guest: "Guest") -> None:
    guest.fail("1 / 0")
    assert guest.run("5") == 5
