"""CPython's own tests, run in the guest: module by module in forks of one session, one that crashes test by test."""

import io
import tarfile
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloche import Limits, Sandbox, Session

__all__ = ["ModuleOutcome", "modules_in", "prepared", "run_modules"]

INSIDE = Path(__file__).with_name("inside_suite.py")
LIMITS = Limits(
    fuel=None,
    memory="1 GiB",
    time=900,
    output="64 MiB",
    result="64 MiB",
    files=100_000,
    file_bytes="512 MiB",
)
_ONE_TEST = LIMITS.replace(time=180)
# What the tests of these need is not in the guest, and they are large.
_LEFT_OUT = ("wheeldata", "test_ctypes", "test_tkinter", "test_peg_generator", "test_android")
Outcomes = dict[str, tuple[str, str]]


@dataclass
class ModuleOutcome:
    """A module's tests by name: ``passed``, ``skipped``, ``failed``, ``error``, ``crashed``, each with its text."""

    name: str
    tests: Outcomes
    seconds: float = 0.0
    crashes: list[str] = field(default_factory=list)

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> "ModuleOutcome":
        """Return the one whose fields these are, as JSON has them."""
        tests = {name: (kind, text) for name, (kind, text) in entry["tests"].items()}
        return cls(entry["name"], tests, entry["seconds"], entry["crashes"])


def modules_in(library: Path) -> list[str]:
    """Return the names of the test modules below ``Lib``, such as ``test.test_json.test_decode``."""
    found = [path.relative_to(library) for path in (library / "test").rglob("test_*.py")]
    modules = [path for path in found if not set(path.parts) & set(_LEFT_OUT)]
    packages = [path.parent.relative_to(library) for path in (library / "test").glob("test_*/__init__.py")]
    alone = [package for package in packages if not any((library / package).glob("test_*.py"))]
    return sorted(".".join(path.with_suffix("").parts) for path in [*modules, *alone] if path.parts[1] not in _LEFT_OUT)


def _archive(library: Path) -> bytes:
    packed = io.BytesIO()

    def wanted(item: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if set(Path(item.name).parts) & {*_LEFT_OUT, "__pycache__"} else item

    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(library / "test", "test", filter=wanted)
    return packed.getvalue()


def prepared(library: Path) -> Session:
    """Return a session in which the tests below ``Lib`` can be run; to be forked for each module."""
    session = Sandbox(limits=LIMITS, metering="epoch").session()
    session.put_file("/tmp/suite.tar", _archive(library))
    session.run(INSIDE.read_text(encoding="utf-8")).unwrap()
    session.run("import os; os.remove('/tmp/suite.tar')").unwrap()
    return session


def run_modules(base: Session, modules: Iterable[str], workers: int = 1) -> Iterator[ModuleOutcome]:
    """Run modules side by side, and yield each when it is done."""
    turn = threading.Lock()

    def one(module: str) -> ModuleOutcome:
        with turn:
            sessions = base.fork(2)
        try:
            return _run(sessions[0], sessions[1], module)
        finally:
            for session in sessions:
                session.close()

    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(one, modules)


def _run(session: Session, spare: Session, module: str) -> ModuleOutcome:
    result = session.run(f"run({module!r})")
    if result.error is None:
        tests, seconds = _checked(result.value)
        return ModuleOutcome(module, tests, seconds)
    # Something ended them all: each runs on its own, and what ends that one costs no other.
    outcome = ModuleOutcome(module, {}, crashes=[_text(result.error)])
    listed = spare.run(f"names({module!r})", limits=_ONE_TEST)
    if listed.error is not None:
        outcome.tests[module] = ("crashed", _text(listed.error))
        return outcome
    for name in listed.value:
        one = spare.run(f"run({module!r}, {name!r}.__eq__)", limits=_ONE_TEST)
        if one.error is not None:
            outcome.tests[name] = ("crashed", _text(one.error))
            continue
        tests, seconds = _checked(one.value)
        outcome.tests.update(tests)
        outcome.seconds += seconds
    return outcome


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[-600:]


def _checked(value: Any) -> tuple[Outcomes, float]:
    tests, seconds = value
    return {str(name): (str(kind), str(text)) for name, (kind, text) in tests.items()}, float(seconds)
