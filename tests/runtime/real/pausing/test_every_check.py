"""A program that is paused gives the value, the output and the fuel of one that is not, at whichever check."""

import os
import random
from functools import cache
from pathlib import Path

import pytest

from cloche.runtime.wasm.machine import WasmMachine

from .stepping import Guest, Outcome, programs, shown, straight

# Checks of a program that are all paused; `make pauses` has them all.
CHECKS = int(os.environ.get("CLOCHE_PAUSES", "400"))
# Under tracing a pause may cost a few units more or less than the build has measured.
SLACK = {"tracing": 64, "monitoring": 64}
# And so may the first one of a thread that has not waited yet: once in the whole run, however often it is paused.
FIRST = {"taking_turns": 48}
PROGRAMS = programs()


@cache
def unpaused(program: Path) -> Outcome:
    return straight(program.read_text(encoding="utf-8"))


def same(program: Path, guest: Guest, paused: Outcome) -> None:
    expected = unpaused(program)
    assert shown(paused.response) == shown(expected.response)
    assert paused.output == expected.output
    assert abs(paused.fuel - expected.fuel) <= SLACK.get(program.stem, 0) * guest.pauses + FIRST.get(program.stem, 0)


def test_there_are_enough_programs() -> None:
    assert len(PROGRAMS) >= 45
    assert all(shown(unpaused(program).response).failure is None for program in PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_pause_at_every_check_changes_nothing(program: Path) -> None:
    def ask(guest: Guest, machine: WasmMachine) -> None:
        if guest.pauses < CHECKS:
            machine.pause()

    guest = Guest(program.read_text(encoding="utf-8"))
    same(program, guest, guest.run(ask))
    assert guest.pauses > 50


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_pauses_here_and_there_with_moves_change_nothing(program: Path) -> None:
    chance = random.Random(program.stem)

    def ask(guest: Guest, machine: WasmMachine) -> None:
        if guest.pauses and guest.pauses % 50 == 0:
            machine = guest.move()
        # Asked for before a step, it comes soon; left out, the program runs to its end.
        if guest.pauses < CHECKS and (guest.pauses < 60 or chance.random() < 0.98):
            machine.pause()

    guest = Guest(program.read_text(encoding="utf-8"))
    same(program, guest, guest.run(ask))
