import io
from typing import Any

import pytest
from rich.console import Console

from cloche.cli.demo.catalogue import PROGRAMS
from cloche.cli.demo.runner import Report
from cloche.cli.demo.show import demo_table, outcome_text
from cloche.runtime.errors import GuestError, GuestException
from cloche.runtime.result import Result, Usage

PROGRAM = PROGRAMS[0]


def report(value: Any = None, error: GuestError | None = None, deviation: str = "") -> Report:
    usage = Usage(fuel=1_000_000, wall=0.0123, memory_peak=40 << 20, output_bytes=0, calls=3)
    return Report(PROGRAM, [Result(value, error, "", "", usage, [])], deviation)


def shown(*reports: Report, running: str = "") -> str:
    console = Console(file=io.StringIO(), width=160, force_terminal=True, color_system="standard")
    console.print(demo_table(reports, running, 1.5))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_row_has_outcome_and_cost() -> None:
    row = outcome_text(report({"a": 1})).plain
    assert row == "{'a': 1}"
    table = shown(report({"a": 1}))
    assert all(text in table for text in (PROGRAM.name, "✓", "1.0 M", "12.3 ms", "40 MiB", "3"))


def test_the_running_program_is_shown() -> None:
    assert "… primes" in shown(running="primes")


def test_a_deviation_is_red_and_says_what_was_expected() -> None:
    text = outcome_text(report(5, deviation="expected the value 6"))
    assert text.plain == "expected the value 6, got 5"
    assert any("red" in str(span.style) for span in text.spans) or "red" in str(text.style)
    assert "✗" in shown(report(5, deviation="expected the value 6"))


def test_an_error_of_the_host_is_shown_as_one() -> None:
    crashed = Report(PROGRAM, [], "the sandbox raised an error", crash=RuntimeError("boom"))
    assert outcome_text(crashed).plain == "the sandbox raised an error: RuntimeError: boom"
    assert crashed.last is None


@pytest.mark.parametrize("text", ["[bold red]x[/bold red]", "[link=http://evil]x[/link]", ":boom:", "[/]"])
def test_guest_text_is_no_markup(text: str) -> None:
    assert text in shown(report(text))
    assert text in shown(report(error=GuestException("ValueError", text)))
    assert text in shown(report(error=GuestException(text)))


def test_guest_text_moves_no_cursor() -> None:
    trick = "\x1b[2J\x1b]0;title\x07\x9b2J\u202e"
    for table in (shown(report(trick)), shown(report(error=GuestException("ValueError", trick)))):
        assert "\x1b[2J" not in table
        assert "\x1b]" not in table
        assert not set(table) & {"\x07", "\x9b", "\u202e"}


def test_sums_over_the_runs_of_a_session() -> None:
    one = report(1)
    both = Report(PROGRAM, one.results * 2, "")
    assert (both.fuel, both.calls, both.memory) == (2_000_000, 6, 40 << 20)
    assert both.wall == pytest.approx(0.0246)
