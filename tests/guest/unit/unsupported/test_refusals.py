"""Processes say why there are none."""

import concurrent.futures
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
    keep(concurrent.futures)
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


@pytest.mark.usefixtures("refusals")
def test_process_pools_say_why_not(guest: "Guest") -> None:
    error = guest.fail("import concurrent.futures\nconcurrent.futures.ProcessPoolExecutor(2)")
    assert error["type"] == "OSError"
    assert "ThreadPoolExecutor" in error["message"]
