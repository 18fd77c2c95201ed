"""Processes say why there are none."""

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from cloche_guest.unsupported.system import refuse_processes

if TYPE_CHECKING:
    from tests.guest.unit.conftest import Guest


@pytest.fixture
def refusals(keep: Callable[[Any], None]) -> None:
    keep(subprocess.Popen)
    refuse_processes()


@pytest.mark.usefixtures("refusals")
@pytest.mark.parametrize(
    "call",
    ["subprocess.run(['ls'])", "subprocess.Popen('ls', shell=True)", "subprocess.check_output('ls')", "os.popen('ls')"],
)
def test_processes_say_why_not(guest: "Guest", call: str) -> None:
    error = guest.fail(f"import os, subprocess\n{call}")
    assert error["type"] == "OSError"
    assert "processes are not available in this sandbox" in error["message"]
