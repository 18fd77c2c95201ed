"""Each example of tools runs, offline, and prints what it is there to show."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cloche import Sandbox

ROOT = Path(__file__).parents[2]
TOOLS = {"maths", "units", "weather"}
EXAMPLES = {
    "approval": ("", ["['20 to ann']", "the approver is away", "at most 1000", "treasurer transfer"]),
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
    assert {path.stem for path in (ROOT / "examples" / "tools").glob("*.py")} - TOOLS == set(EXAMPLES)


def example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tools_of_numbers() -> None:
    maths = example("maths")
    program = "[n for n in range(1, 12) if prime_checker(factorial(n) + 1)]"
    assert Sandbox(tools=[maths.factorial, maths.prime_checker]).run(program).value == [1, 2, 3, 11]
    assert Sandbox(tools=[maths.factorial]).run("factorial(1_000) // factorial(999)").value == 1_000
    assert "from 0 to 1,000" in str(Sandbox(tools=[maths.factorial]).run("factorial(-1)").error)


@pytest.mark.parametrize(
    ("program", "outcome"),
    [
        ("convert(1, 'mile', 'm')", 1609.344),
        ("convert(100, 'C', 'F')", 212),
        ("convert(212, 'F', 'C')", 100),
        ("convert(2, 'gallon', 'l')", 7.570823568),
        ("convert(1, 'kg', 'm')", "kg is a mass, m a length"),
        ("convert(1, 'ell', 'm')", "unknown unit 'ell'"),
    ],
)
def test_units(program: str, outcome: float | str) -> None:
    result = Sandbox(tools=[example("units").convert]).run(program)
    if isinstance(outcome, str):
        assert outcome in str(result.error)
    else:
        assert result.unwrap() == pytest.approx(outcome)


def test_weather() -> None:
    box = Sandbox(tools=[example("weather").weather])
    assert box.run("import asyncio\nawait asyncio.gather(weather('Oslo'), weather('Lima'))").value == [-3.0, 19.0]
    assert "no weather for 'Atlantis'" in str(box.run("await weather('Atlantis')").error)
