"""The eval loop's cases, made again from the patched `bytecodes.c` by CPython's own generator."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from recipe.errors import BuildError

GENERATOR = "Tools/cases_generator/tier1_generator.py"
SOURCE, RESULT = "Python/bytecodes.c", "Python/generated_cases.c.h"


def regenerate(tree: Path) -> None:
    """Write `Python/generated_cases.c.h`. Raises `BuildError` with what the generator says."""
    argv: list[str | Path] = [sys.executable, tree / GENERATOR, "-o", tree / RESULT, tree / SOURCE]
    done = subprocess.run(argv, check=False, cwd=tree, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"{GENERATOR} does not take the patched {SOURCE}:\n{done.stderr}")
