"""Processes, and input: both say why there are none."""

import builtins
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from cloche_guest.unsupported.processes import install

if TYPE_CHECKING:
    from tests.guest.unit.conftest import Guest


@pytest.fixture
def refusals(keep: Callable[[Any], None]) -> None:
    keep(subprocess.Popen)
    keep(builtins)
    install()


@pytest.mark.usefixtures("refusals")
@pytest.mark.parametrize(
    "call",
    ["subprocess.run(['ls'])", "subprocess.Popen('ls', shell=True)", "subprocess.check_output('ls')", "os.popen('ls')"],
)
def test_processes_say_why_not(guest: "Guest", call: str) -> None:
    error = guest.fail(f"import os, subprocess\n{call}")
    assert error["type"] == "OSError"
    assert "processes are not available in this sandbox" in error["message"]


@pytest.mark.usefixtures("refusals")
def test_input_says_why_not(guest: "Guest") -> None:
    error = guest.fail("input('name? ')")
    assert error["type"] == "EOFError"
    assert "no standard input" in error["message"]
