"""``cloche demo`` as a user runs it."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable

import pytest

from cloche.agent import LiteLLMModel, ModelUnavailable
from cloche.cli.demo import catalogue as demo_catalogue
from cloche.cli.demo.catalogue import Gives
from cloche.cli.flags import MODELS_BY_KEY
from cloche.cli.main import main

Run = Callable[..., subprocess.CompletedProcess[str]]

PROGRAMS = demo_catalogue.PROGRAMS
NO_KEYS = dict.fromkeys(["CLOCHE_MODEL", *MODELS_BY_KEY], "")


@pytest.fixture(scope="module")
def name() -> str:
    return PROGRAMS[0].name


def test_every_program_does_what_it_should_on_80_columns(cloche: Run) -> None:
    done = cloche("demo", **NO_KEYS)
    assert done.returncode == 0, done.stdout
    assert "the host still works" in done.stdout
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert all(any(line.startswith(f" ✓ {program.name} ") for line in lines) for program in PROGRAMS)
    assert max(map(len, lines)) <= 80
    for title in ("outcome", "fuel", "time", "memory", "calls"):
        assert title in done.stdout
    assert "\nanswer: Prime: [2, 3, 7]." in done.stdout
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
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [*(program.name for program in PROGRAMS), "team"]
    assert cloche("demo", "--source", name).stdout == PROGRAMS[0].source


def test_the_team_has_its_own_name(cloche: Run) -> None:
    done = cloche("demo", "team", **NO_KEYS)
    assert done.returncode == 0, done.stdout
    for agent, tool_calls in (("maths", 14), ("research", 1), ("manager", 2)):
        assert f"✓ {agent}, step 1" in done.stdout
        assert f"{tool_calls} tool call" in done.stdout
    assert not any(program.name in done.stdout for program in PROGRAMS[:3])
    assert "look_up(topic" in cloche("demo", "--source", "team").stdout


def test_a_live_model_that_is_out_of_reach_is_told_and_the_recorded_one_takes_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(self: LiteLLMModel, request: object) -> None:
        raise ModelUnavailable("the model is away")

    monkeypatch.setattr(LiteLLMModel, "generate", fail)
    monkeypatch.setenv("CLOCHE_MODEL", "openai/some-model")
    assert main(["demo", "team"]) == 0
    told = capsys.readouterr().out
    assert "a team of agents (openai/some-model)" in told
    assert "ended (model_error): the model is away" in told
    assert "answer: Prime: [2, 3, 7]." in told


def test_without_the_packages_of_agents_one_line_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert main(["demo", "team"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "the team of agents needs jinja2: pip install 'cloche[agent]'"


def test_an_unknown_program_is_one_message(cloche: Run) -> None:
    done = cloche("demo", "nothing")
    assert done.returncode == 2
    assert "no program is named 'nothing'" in done.stderr
    assert "Traceback" not in done.stderr
