"""Each example of tools runs, offline, and prints what it is there to show."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = {
    "approval": ("", ["['20 to ann']", "nobody is at the keyboard", "at most 1000", "treasurer transfer"]),
    "mcp_tools": ("mcp", ["open_session, put_file, run_python", "23, 29]", "units of fuel"]),
    "text_to_sql": ("sqlalchemy", ["receipts(id INTEGER", "Woodrow Wilson spent the most: 58.86", "not authorized"]),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(name: str) -> None:
    needs, words = EXAMPLES[name]
    if needs and importlib.util.find_spec(needs) is None:
        pytest.skip(f"{needs} is not installed")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / "tools" / f"{name}.py")],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [word for word in words if word not in done.stdout] == [], done.stdout


def test_every_example_is_listed() -> None:
    assert {path.stem for path in (ROOT / "examples" / "tools").glob("*.py")} == set(EXAMPLES)
