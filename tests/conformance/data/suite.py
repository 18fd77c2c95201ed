"""NumPy's and pandas' own tests, run in the data image, file by file in forks of one session."""

import io
import json
import tarfile
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.conformance.suite import ModuleOutcome, Outcomes

from cloche import Limits, Result, Sandbox, Session

__all__ = ["modules_in", "prepared", "run_modules"]

INSIDE = Path(__file__).with_name("inside_suite.py")
LIMITS = Limits(
    fuel=None,
    memory="1536 MiB",
    time=1_800,
    output="256 MiB",
    result="64 MiB",
    files=100_000,
    file_bytes="512 MiB",
    displays=0,
)
NUMPY = ("_core", "linalg", "fft", "random", "lib", "ma", "polynomial", "matrixlib")
"""The parts of NumPy whose tests are run."""
# What runs them, which is pure Python.
_RUNNERS = ("pytest", "pluggy", "iniconfig", "pygments")
# After so many crashes the rest of a file is not tried.
_MAX_CRASHES = 25


def modules_in(sources: dict[str, Path]) -> list[str]:
    """Return the files with tests, below where packages lie, of these source trees: ``numpy`` and ``pandas``."""
    found: list[Path] = []
    for part in NUMPY:
        places = (sources["numpy"] / "numpy" / part).rglob("tests/test_*.py")
        found += (path for path in places if "src" not in path.parts[-6:])
    found += (sources["pandas"] / "pandas" / "tests").rglob("test_*.py")
    roots = tuple(sources.values())
    return sorted(path.relative_to(next(r for r in roots if path.is_relative_to(r))).as_posix() for path in found)


def _archive(sources: dict[str, Path]) -> bytes:
    packed = io.BytesIO()

    def wanted(item: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if "__pycache__" in item.name or item.name.endswith((".so", ".pyc")) else item

    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in _RUNNERS:
            for path in metadata.files(name) or ():
                if path.suffix != ".pyc" and ".." not in path.parts:
                    archive.add(str(path.locate()), path.as_posix())
        tree = sources["numpy"]
        for folder in (tree / "numpy").rglob("tests"):
            archive.add(folder, folder.relative_to(tree).as_posix(), filter=wanted)
        for name in ("numpy/conftest.py", "pandas/conftest.py", "pandas/tests"):
            archive.add(sources[name.partition("/")[0]] / name, name, filter=wanted)
    return packed.getvalue()


def prepared(sources: dict[str, Path]) -> Session:
    """Return a session in which these trees' tests can be run; to be forked for each file."""
    session = Sandbox(image="data", limits=LIMITS, metering="epoch").session()
    session.put_file("/tmp/suite.tar", _archive(sources))
    session.run(INSIDE.read_text(encoding="utf-8")).unwrap()
    return session


def run_modules(base: Session, modules: Iterable[str], workers: int = 1) -> Iterator[ModuleOutcome]:
    """Run files side by side, and yield each when it is done."""
    turn = threading.Lock()

    def one(module: str) -> ModuleOutcome:
        since, outcome = time.monotonic(), ModuleOutcome(module, {})
        while len(outcome.crashes) < _MAX_CRASHES:
            with turn:
                session = base.fork()
            with session:
                result = session.run(f"run({module!r}, {list(outcome.tests)!r})")
            unfinished = _read(result, outcome.tests)
            if result.error is None:
                break
            outcome.crashes.append(_text(result.error))
            name = unfinished or module
            outcome.tests[name] = ("crashed", _text(result.error))
            if unfinished is None:
                break
        outcome.seconds = time.monotonic() - since
        return outcome

    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(one, modules)


def _read(result: Result[Any], tests: Outcomes) -> str | None:
    """Take in the lines that a run has left. Returns the test that was running at its end."""
    running: str | None = None
    for line in result.stdout.splitlines():
        if not line.startswith("["):
            continue
        try:
            what, name, kind, text = json.loads(line)
        except ValueError:
            continue  # cut short by the end
        running = name if what == "begin" else None
        if what == "end":
            tests[name] = (kind, text)
    return running


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[-500:]
