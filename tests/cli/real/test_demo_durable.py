"""The demo's program that begins in one process and ends in another."""

import dataclasses
from pathlib import Path

import pytest

from cloche import Sandbox, tool
from cloche.cli.demo.catalogue import PROGRAMS, DemoProgram, Gives
from cloche.cli.demo.runner import DemoRunner, run_in_two_processes
from cloche.runtime.session.session import Session


@pytest.fixture(name="environment", autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3] / "src"))


@pytest.fixture
def program() -> DemoProgram:
    (found,) = [program for program in PROGRAMS if program.given]
    return found


def test_the_tools_of_the_second_process_are_called_after_the_pause_only(program: DemoProgram) -> None:
    here: list[str] = []

    @tool
    def price(item: str) -> int:
        """Return an item's price."""
        here.append(item)
        return 5

    @tool(approval=True)
    def pay(amount: int, to: str) -> str:
        """Pay a person."""
        here.append(to)
        return f"{to} has {amount}"

    sessions: list[Session] = []
    result = run_in_two_processes(program, Sandbox(tools=[price, pay]), sessions.append)
    assert result.unwrap() == ["Ann's has 43", "5 put on the bill of Bob's"]
    assert here == ["Ann's", "cup"]
    assert (result.usage.calls, len(sessions)) == (4, 1)


def test_a_first_process_that_does_not_wait_is_a_surprise(program: DemoProgram) -> None:
    wrong = dataclasses.replace(program, given=program.given[:1], expected=Gives(None))
    report = DemoRunner().run(wrong)
    assert "the first process ended with 1" in str(report.crash)
    assert "NameError" in str(report.crash)
