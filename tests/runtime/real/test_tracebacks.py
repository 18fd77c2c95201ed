"""What a caller sees of an exception: the program's own lines and nothing of the machinery."""

import pytest

from cloche.runtime.errors import GuestError, GuestException
from cloche.runtime.sandbox import Sandbox

from .functions import Functions


def fail(code: str) -> GuestException:
    error = Sandbox().run(code).error
    assert isinstance(error, GuestException)
    return error


def test_the_programs_own_lines_show() -> None:
    error = fail("def divide(a, b):\n    return a / b  # here\n\nprint('x')\ndivide(1, 0)")
    assert (error.type_name, error.message, error.line) == ("ZeroDivisionError", "division by zero", 2)
    assert "    return a / b  # here\n" in error.traceback
    assert "    divide(1, 0)\n" in error.traceback
    assert str(error) == "ZeroDivisionError: division by zero (line 2)"


def test_nothing_of_the_machinery_shows() -> None:
    error = fail("import asyncio\nasync def f():\n    raise KeyError('k')\nawait asyncio.gather(f())")
    for hidden in ("cloche", "_cloche", "step.py", "snippet", "/work/main", __file__):
        assert hidden not in error.traceback
    assert "    raise KeyError('k')\n" in error.traceback


def test_lines_of_earlier_runs_show() -> None:
    with Sandbox().session() as session:
        session.run("def first():\n    raise LookupError('from run 1')")
        session.run("def second():\n    # a comment\n    first()")
        error = session.run("\n\nsecond()").error
        assert isinstance(error, GuestException)
        for line in ("    raise LookupError('from run 1')\n", "    first()\n", "    second()\n"):
            assert line in error.traceback
        assert error.line == 3


def test_lines_survive_a_rollback() -> None:
    with Sandbox().session() as session:
        session.run("def first():\n    raise LookupError('from run 1')")
        session.run("x = bytearray(1 << 31)")
        error = session.run("first()").error
        assert isinstance(error, GuestException)
        assert "    raise LookupError('from run 1')\n" in error.traceback


def test_a_syntax_error_has_its_line() -> None:
    error = fail("x = 1\ny = (\n")
    assert (error.type_name, error.line) == ("SyntaxError", 2)
    assert "'(' was never closed" in error.message


def test_chains_and_notes_show() -> None:
    error = fail(
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    e.add_note('a note')\n    raise ValueError('v') from e"
    )
    assert "ZeroDivisionError" in error.traceback
    assert "a note" in error.traceback
    assert error.traceback.endswith("ValueError: v\n")


def test_modules_that_the_program_wrote_show_their_lines() -> None:
    code = "open('helper.py', 'w').write('def f():\\n    raise OSError(5)\\n')\nimport helper\nhelper.f()"
    assert "    raise OSError(5)\n" in fail(code).traceback


@pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "BaseException"])
def test_exceptions_that_leave_interpreters_do_not_leave_this_one(name: str) -> None:
    with Sandbox().session() as session:
        session.run("kept = 41")
        error = session.run(f"raise {name}('bye')").error
        assert isinstance(error, GuestException)
        assert (error.type_name, error.message) == (name, "bye")
        assert session.run("kept").unwrap() == 41


@pytest.mark.parametrize(
    "code", ["exit(1)", "quit(3)", "import sys; sys.exit('text')", "import os; os._exit(3)", "import os; os.abort()"]
)
def test_leaving_ends_only_the_run(code: str) -> None:
    with Sandbox().session() as session:
        session.run("kept = 41")
        assert isinstance(session.run(code).error, GuestError)
        assert session.run("kept + 1").unwrap() == 42


@pytest.mark.parametrize("code", ["exit()", "quit(0)", "import sys; sys.exit()"])
def test_leaving_well_ends_only_the_run(code: str) -> None:
    with Sandbox().session() as session:
        session.run("kept = 41")
        left = session.run(f"{code}\nkept = 0")
        assert (left.error, left.exit_code) == (None, 0)
        assert session.run("kept + 1").unwrap() == 42


def test_text_of_the_guest_is_never_markup() -> None:
    error = fail("raise ValueError('[bold]\\x1b[31m<b>\\x00')")
    assert error.message == "[bold]\x1b[31m<b>\x00"


def test_a_tools_error_shows_where_the_program_called_it() -> None:
    def lookup() -> None:
        raise LookupError("no such city")

    error = Sandbox(tools=Functions(lookup)).run("def f():\n    return lookup()  # asks\nf()").error
    assert isinstance(error, GuestException)
    assert (error.type_name, error.message, error.line) == ("LookupError", "no such city", 2)
    assert "    return lookup()  # asks\n" in error.traceback


@pytest.mark.parametrize(
    "code",
    [
        "asyncio.run(fail())",
        "asyncio.run(asyncio.wait_for(fail(), 1))",
        "asyncio.run(asyncio.to_thread(divide))",
        "async def both(): await asyncio.gather(fail(), fail())\nasyncio.run(both())",
        "with ThreadPoolExecutor() as pool: pool.submit(divide).result()",
        "sum(divide() for _ in range(3))",
        "sorted([2, 1], key=lambda _: divide())",
    ],
)
def test_nor_where_a_program_looks_at_its_own_errors(code: str) -> None:
    program = (
        "import asyncio, traceback\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "def divide(): return 1 / 0\nasync def fail(): return divide()\n"
        f"try: exec({code!r})\nexcept ZeroDivisionError: print(traceback.format_exc())"
    )
    result = Sandbox().run(program)
    assert result.error is None
    assert "in divide\n" in result.stdout
    assert "cloche" not in result.stdout
