import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SRC = Path(__file__).parents[3] / "src"

TOOLS = '''
from cloche import tool

@tool
def price(item: str, count: int = 1) -> float:
    """Return the price of some items."""
    return 2.5 * count

@tool
async def stock(item: str) -> int:
    """Return how many are left."""
    return len(item)

number = 5
'''

Run = Callable[..., subprocess.CompletedProcess[str]]


def environment(**changes: str) -> dict[str, str]:
    """This process's environment, for a command that runs from the sources on a terminal of 80 columns."""
    return {**os.environ, "PYTHONPATH": str(SRC), "COLUMNS": "80", "NO_COLOR": "1", **changes}


@pytest.fixture(name="environment")
def _environment() -> Callable[..., dict[str, str]]:
    return environment


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder with a module of tools, in which the commands run."""
    (tmp_path / "shop.py").write_text(TOOLS)
    return tmp_path


@pytest.fixture
def cloche(folder: Path) -> Run:
    """Runs the command as a user would, in a process of its own, and returns what became of it."""

    def run(*arguments: str, stdin: str | bytes = "", **changes: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "cloche", *arguments],
            input=stdin if isinstance(stdin, bytes) else stdin.encode(),
            capture_output=True,
            cwd=folder,
            env=environment(**changes),
            timeout=300,
            check=False,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run
