"""``make conformance-data``: run it all, write docs/conformance-data.md, and fail for what has no reason."""

import argparse
import itertools
import sys
from pathlib import Path

from tests.conformance.record import Record, source_here
from tests.conformance.report import Conformance, Known, Page, written

from cloche import Sandbox
from recipe import sources

from .generator import programs
from .native import VERSIONS, made
from .reasons import Difference, differences
from .suite import LIMITS, modules_in, prepared, run_modules

PAGE = Path(__file__).parents[3] / "docs" / "conformance-data.md"
KNOWN = Known.read(Path(__file__).with_name("remaining.toml"))
ABOUT = Page(
    "Conformance of NumPy and pandas",
    (
        "Written by `make conformance-data`, which runs the tests of NumPy and pandas themselves in the data image,",
        "each file in a fork of one session, and expressions made by chance, there and natively with {python}. What",
        "these give is compared: values, types, the types of elements, warnings and errors. Not applicable are tests",
        "that skip themselves, as for a package that is not there or a system with 32 bits, and those that need",
        "Hypothesis, or modules in C that only tests have.",
    ),
    lambda name: ".".join(part for part in name.split("/")[:-1] if part != "tests"),
)


def main() -> int:
    """Run what is asked for; with names of files, only those, and write no page."""
    arguments = _arguments()
    python = made()
    if python is None:
        print("there is no CPython 3.13 here to compare with", file=sys.stderr)
        return 2
    record = Record(arguments.log, source_here("data"), mixed=arguments.mixed)
    trees = {name: sources.unpacked(name) for name in ("numpy", "pandas")}
    modules = arguments.modules or modules_in(trees)
    due = arguments.modules or record.lacks(modules)
    if due and not arguments.known:
        for outcome in run_modules(prepared(trees), due, arguments.workers):
            record.add(outcome)
            print(f"{outcome.name}: {len(outcome.tests)} tests, {outcome.seconds:.1f} s", flush=True)
    missing = record.lacks(modules)
    modules = [each for each in modules if each not in missing]
    found = Conformance(_versions(), record.sources(modules), known=KNOWN, page=ABOUT)
    for outcome in record.outcomes(modules):
        found.add(outcome)
    if not arguments.modules:
        found.programs = arguments.programs
        found.differences = _differences(record, python, arguments.seed, arguments.programs)
        left = f"\nOf {len(missing)} files with tests nothing is known yet.\n" if missing else ""
        PAGE.write_text(written(found) + left, encoding="utf-8")
    for each in found.unexplained():
        print(each, file=sys.stderr)
    return int(bool(found.unexplained()))


def _versions() -> str:
    return f"NumPy {VERSIONS['numpy']} and pandas {VERSIONS['pandas']}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.data", description=__doc__)
    parser.add_argument("modules", nargs="*", help="files with tests, such as numpy/fft/tests/test_helper.py")
    parser.add_argument("--programs", type=int, default=4_000, help="how many expressions (default 4000)")
    parser.add_argument("--seed", type=int, default=1, help="what they follow from (default 1)")
    parser.add_argument("--workers", type=int, default=2, help="files side by side (default 2)")
    parser.add_argument("--log", type=Path, help="a file for outcomes; what it has of this image is not run again")
    parser.add_argument("--known", action="store_true", help="run no tests: the page is of what the log has")
    parser.add_argument("--mixed", action="store_true", help="take what it has of other images too; the page says so")
    return parser.parse_args()


def _differences(record: Record, python: Path, seed: int, count: int) -> list[Difference]:
    found = record.differences(seed, count)
    if found is None:
        sandbox = Sandbox(image="data", limits=LIMITS, metering="epoch")
        found = list(differences(python, itertools.islice(programs(seed), count), sandbox))
        record.add_programs(seed, count, found)
    return [Difference(*each) for each in found]


if __name__ == "__main__":
    sys.exit(main())
