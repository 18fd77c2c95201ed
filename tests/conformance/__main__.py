"""``make conformance``: run it all, write docs/conformance.md, and fail for what has no reason."""

import argparse
import itertools
import subprocess
import sys
from pathlib import Path

from recipe import sources

from . import generator
from .differential import Difference, differences, native_python
from .record import Record, source_here
from .report import Conformance, written
from .suite import modules_in, prepared, run_modules

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


def main() -> int:
    """Run what is asked for; with names of modules, only those, and write no page."""
    arguments = _arguments()
    python = native_python()
    if python is None:
        print("there is no CPython 3.13 here to compare with", file=sys.stderr)
        return 2
    version = subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    record = Record(arguments.log, source_here(), mixed=arguments.mixed)
    library = sources.unpacked("cpython") / "Lib"
    modules = arguments.modules or modules_in(library)
    if due := arguments.modules or record.lacks(modules):
        _run_modules(record, library, due, arguments.workers)
    found = Conformance(version, record.sources(modules))
    for outcome in record.outcomes(modules):
        found.add(outcome)
    if not arguments.modules:
        found.programs = arguments.programs
        found.differences = _differences(record, python, arguments.seed, arguments.programs)
        PAGE.write_text(written(found), encoding="utf-8")
    for each in found.unexplained():
        print(each, file=sys.stderr)
    return int(bool(found.unexplained()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("modules", nargs="*", help="modules of CPython's tests, such as test.test_json.test_decode")
    parser.add_argument("--programs", type=int, default=20_000, help="how many to generate (default 20000)")
    parser.add_argument("--seed", type=int, default=1, help="what they follow from (default 1)")
    parser.add_argument("--workers", type=int, default=2, help="modules side by side (default 2)")
    parser.add_argument("--log", type=Path, help="a file for outcomes; what it has of this image is not run again")
    parser.add_argument("--mixed", action="store_true", help="take what it has of other images too; the page says so")
    return parser.parse_args()


def _run_modules(record: Record, library: Path, modules: list[str], workers: int) -> None:
    for outcome in run_modules(prepared(library), modules, workers):
        record.add(outcome)
        print(f"{outcome.name}: {len(outcome.tests)} tests, {outcome.seconds:.1f} s", flush=True)


def _differences(record: Record, python: Path, seed: int, programs: int) -> list[Difference]:
    found = record.differences(seed, programs)
    if found is None:
        found = list(differences(python, itertools.islice(generator.programs(seed), programs)))
        record.add_programs(seed, programs, found)
    return found


if __name__ == "__main__":
    sys.exit(main())
