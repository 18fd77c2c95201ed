"""Programs as models write them for a task, each with unit tests, in the guest and in CPython: all tests have to pass.

``python -m tests.conformance.tasks`` runs them in both; a part of the suite runs them in the guest.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from cloche import Limits, Sandbox

from .differential import native_python

__all__ = ["PROGRAMS", "in_guest", "natively"]

PROGRAMS = sorted(Path(__file__).with_name("programs").rglob("*.py"))
LIMITS = Limits(fuel=None, time=60)
_INSIDE = Path(__file__).with_name("inside_tasks.py").read_text(encoding="utf-8")
Outcomes = dict[str, str]


def _source(program: Path) -> str:
    return f"{program.read_text(encoding='utf-8')}\n\n{_INSIDE}"


def _outcomes(output: str, otherwise: str) -> Outcomes:
    line = output.rstrip("\n").rpartition("\n")[2]
    return dict(json.loads(line)) if line.startswith("{") else {"the whole program": otherwise}


def in_guest(box: Sandbox, program: Path) -> Outcomes:
    """Return what became of a program's tests in the guest: an empty text, or a traceback."""
    result = box.run(_source(program))
    return _outcomes(result.stdout, str(result.error))


def natively(python: Path, program: Path) -> Outcomes:
    """Return the same for this CPython, which runs it as a file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "main.py")
        file.write_text(_source(program), encoding="utf-8")
        environment = {"HOME": folder, "PATH": "/usr/bin:/bin", "TZ": "UTC", "PYTHONUTF8": "1"}
        done = subprocess.run(
            [python, file],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    return _outcomes(done.stdout, done.stderr)


def main() -> int:
    """Run all programs in both, say which tests fail in one of them, and fail if there are any."""
    python, box, count, failed = native_python(), Sandbox(limits=LIMITS), 0, 0
    for program in PROGRAMS:
        sides = {"guest": in_guest(box, program)}
        if python is not None:
            sides["CPython"] = natively(python, program)
        for side, outcomes in sides.items():
            count += len(outcomes) * (side == "guest")
            for name, text in outcomes.items():
                failed += bool(text)
                print(f"{program.stem}: {name} in {side}:\n{text}" if text else "", end="")
    print(f"{len(PROGRAMS)} programs with {count} tests: {failed} failed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
