"""Programs as models write them, with their unit tests, in the guest."""

from pathlib import Path

import pytest

from cloche import Sandbox

from .tasks import LIMITS, PROGRAMS, in_guest

AREAS = sorted({program.parent.name for program in PROGRAMS})


@pytest.fixture(scope="module")
def box() -> Sandbox:
    return Sandbox(limits=LIMITS)


@pytest.mark.parametrize("area", AREAS)
def test_programs_pass_their_tests(box: Sandbox, area: str) -> None:
    failed = {}
    for program in (each for each in PROGRAMS if each.parent.name == area):
        outcomes = in_guest(box, program)
        assert outcomes, program
        failed.update({f"{program.stem}: {name}": text for name, text in outcomes.items() if text})
    assert failed == {}


def test_a_failure_is_seen(box: Sandbox, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import unittest\nclass T(unittest.TestCase):\n    def test(self): assert 1 == 2\n")
    assert "AssertionError" in in_guest(box, program)["__main__.T.test"]
    program.write_text("1 / 0")
    assert "ZeroDivisionError" in in_guest(box, program)["the whole program"]
