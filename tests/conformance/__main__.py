"""``make conformance``: run it all, write docs/conformance.md, and fail for what has no reason."""

import argparse
import subprocess
import sys
from pathlib import Path

from recipe import sources

from .differential import differences, native_python
from .report import Conformance, written
from .suite import modules_in, prepared, run_modules

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


def main() -> int:
    """Run what is asked for; with names of modules, only those, and write nothing."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("modules", nargs="*", help="modules of CPython's tests, such as test.test_json.test_decode")
    parser.add_argument("--programs", type=int, default=20_000, help="how many to generate (default 20000)")
    parser.add_argument("--seed", type=int, default=1, help="what they follow from (default 1)")
    parser.add_argument("--workers", type=int, default=2, help="modules side by side (default 2)")
    arguments = parser.parse_args()
    python = native_python()
    if python is None:
        print("there is no CPython 3.13 here to compare with", file=sys.stderr)
        return 2
    version = subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    found = Conformance(version)
    library = sources.unpacked("cpython") / "Lib"
    for outcome in run_modules(prepared(library), arguments.modules or modules_in(library), arguments.workers):
        found.add(outcome)
        print(f"{outcome.name}: {len(outcome.tests)} tests, {outcome.seconds:.1f} s", flush=True)
    if not arguments.modules:
        found.programs = arguments.programs
        found.differences = list(differences(python, arguments.seed, arguments.programs))
        PAGE.write_text(written(found), encoding="utf-8")
    for each in found.unexplained():
        print(each, file=sys.stderr)
    return int(bool(found.unexplained()))


if __name__ == "__main__":
    sys.exit(main())
