"""A program that stops at each of its calls gives what it gives without stopping, here and from snapshots."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cloche import Suspended

from .stopping import BOX, finish, moved

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.py"), key=lambda path: path.name)
STOPS: dict[str, Callable[[Suspended], Suspended]] = {"here": lambda paused: paused, "from a snapshot": moved}


@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_stopping_changes_nothing(program: Path, stop: Callable[[Suspended], Suspended]) -> None:
    code = program.read_text(encoding="utf-8")
    straight = BOX.run(code)
    assert straight.error is None
    with BOX.session() as session:
        paused = session.start(code, step=True)
        assert isinstance(paused, Suspended)
        stopped = finish(paused, stop)
    assert stopped.error is None
    assert stopped.value == straight.value
    assert stopped.value
    assert (stopped.stdout, stopped.stderr) == (straight.stdout, straight.stderr)
    assert stopped.usage.calls == straight.usage.calls


def test_nothing_is_run_twice() -> None:
    code = "n = []\nfor i in range(200):\n    n.append(ask(i))\nlen(n)"
    with BOX.session() as session:
        result = finish(session.start(code, step=True))
        assert result.value == 200
        assert session.run("n == [i * 10 for i in range(200)]").value
        assert [record.outcome for record in result.calls] == ["returned"] * 200


def test_the_state_stays_for_the_next_run() -> None:
    with BOX.session() as session:
        finish(session.start("import decimal\ndecimal.getcontext().prec = ask(1)\nkept = ask(2)", step=True))
        assert session.run("kept, decimal.getcontext().prec").value == (20, 10)
        finish(session.start("kept += ask(1)", step=True))
        assert session.run("kept").value == 30


def test_an_error_shows_the_programs_own_lines() -> None:
    with BOX.session() as session:
        failed = finish(session.start("def f():\n    return fail('why')\n\nf()", step=True))
    assert failed.error is not None
    assert str(failed.error) == "RuntimeError: why (line 2)"
    assert "cloche_guest" not in getattr(failed.error, "traceback", "cloche_guest")
