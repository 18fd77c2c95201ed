"""``cloche demo`` as a user runs it."""

import dataclasses
import subprocess
from collections.abc import Callable

import pytest

from cloche.cli import demo_catalogue
from cloche.cli.command import main
from cloche.cli.demo_expectations import Gives

Run = Callable[..., subprocess.CompletedProcess[str]]

PROGRAMS = demo_catalogue.PROGRAMS


@pytest.fixture(scope="module")
def name() -> str:
    return PROGRAMS[0].name


def test_every_program_does_what_it_should_on_80_columns(cloche: Run) -> None:
    done = cloche("demo")
    assert done.returncode == 0, done.stdout
    assert "the host is well" in done.stdout
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert all(any(line.startswith(f" ✓ {program.name} ") for line in lines) for program in PROGRAMS)
    assert max(map(len, lines)) <= 80
    for title in ("outcome", "fuel", "time", "memory", "calls"):
        assert title in done.stdout
    for ended in ("FuelExhausted", "TimeExceeded", "MemoryExceeded", "OutputExceeded"):
        assert f"ended by {ended}: " in done.stdout


def test_a_wide_terminal_has_the_outcome_beside_the_name(cloche: Run) -> None:
    done = cloche("demo", "units", "wrong_call", COLUMNS="160")
    assert done.returncode == 0, done.stdout
    (row,) = [line.split() for line in done.stdout.splitlines() if "✓ units" in line]
    assert row[:3] == ["✓", "units", "11.21"]
    assert row[-1] == "2"


def test_there_are_at_least_ten_programs_good_and_naughty() -> None:
    naughty = sum(program.naughty for program in PROGRAMS)
    assert naughty >= 7
    assert len(PROGRAMS) - naughty >= 7


def test_a_program_that_surprises_is_an_exit_code(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = dataclasses.replace(PROGRAMS[0], expected=Gives("something else"))
    monkeypatch.setattr(demo_catalogue, "PROGRAMS", (wrong,))
    assert main(["demo", name]) == 1
    told = capsys.readouterr().out
    assert "✗ " + name in told
    assert f"not as expected: {name}" in told


def test_list_and_source_run_nothing(cloche: Run, name: str) -> None:
    listed = cloche("demo", "--list")
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [program.name for program in PROGRAMS]
    assert cloche("demo", "--source", name).stdout == PROGRAMS[0].source


def test_an_unknown_program_is_one_message(cloche: Run) -> None:
    done = cloche("demo", "nothing")
    assert done.returncode == 2
    assert "no program is named 'nothing'" in done.stderr
    assert "Traceback" not in done.stderr
