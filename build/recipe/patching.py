"""Patches of the sources: unified diffs in `build/patches/<input>/`, applied in the order of their names.

Each begins with a line `Why: ...`. They are applied here, without the `patch` program: hunks must match
exactly, so a patch that no longer fits its pinned source is an error and never a guess. What CPython generates
from a patched file is generated again.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from recipe.inputs import BUILD
from recipe.workspace import BuildError

HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@")

GENERATOR = "Tools/cases_generator/tier1_generator.py"
SOURCE, RESULT = "Python/bytecodes.c", "Python/generated_cases.c.h"


@dataclass(frozen=True)
class Hunk:
    """Lines that must stand at `start` (1-based) of the file, and what replaces them."""

    start: int
    old: tuple[str, ...]
    new: tuple[str, ...]


def patches_for(name: str, root: Path = BUILD / "patches") -> list[Path]:
    """The patches of one input, in order."""
    return sorted((root / name).glob("*.patch"))


def reasons(patch: Path) -> str:
    """The patch's `Why:` line. Raises `BuildError` if it has none."""
    for line in patch.read_text().splitlines():
        if line.startswith("Why: "):
            return line.removeprefix("Why: ")
    raise BuildError(f"{patch.name} does not say why it is needed: begin it with a line 'Why: ...'")


def parse(text: str) -> dict[str, list[Hunk]]:
    """The hunks of a unified diff by file name (the first folder stripped, as `patch -p1` does)."""
    files: dict[str, list[Hunk]] = {}
    lines = text.splitlines(keepends=True)
    at, name = 0, ""
    while at < len(lines):
        if lines[at].startswith("+++ "):
            name = lines[at].split()[1].split("/", 1)[1]
        elif match := HUNK.match(lines[at]):
            hunk, at = _hunk(lines, at + 1, int(match[1]))
            files.setdefault(name, []).append(hunk)
            continue
        at += 1
    return files


def _hunk(lines: list[str], at: int, start: int) -> tuple[Hunk, int]:
    old: list[str] = []
    new: list[str] = []
    while at < len(lines) and lines[at][:1] in (" ", "+", "-") and not lines[at].startswith("--- "):
        mark, text = lines[at][0], lines[at][1:]
        old += [text] if mark in " -" else []
        new += [text] if mark in " +" else []
        at += 1
    return Hunk(start, tuple(old), tuple(new)), at


def patched(source: str, hunks: list[Hunk], where: str) -> str:
    """A file's text with its hunks applied. Raises `BuildError` naming file and line where one does not fit."""
    lines = source.splitlines(keepends=True)
    for hunk in reversed(hunks):
        begin = hunk.start - 1
        if tuple(lines[begin : begin + len(hunk.old)]) != hunk.old:
            raise BuildError(f"{where}: the hunk for {hunk.start} does not fit the source")
        lines[begin : begin + len(hunk.old)] = hunk.new
    return "".join(lines)


def apply(patch: Path, tree: Path) -> None:
    """Apply one patch to a source tree, all of it or nothing."""
    reasons(patch)
    changed: dict[Path, str] = {}
    for name, hunks in parse(patch.read_text()).items():
        target = tree / name
        before = target.read_text() if target.exists() else ""
        changed[target] = patched(before, hunks, f"{patch.name}: {name}")
    for target, text in changed.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def regenerate(tree: Path) -> None:
    """Write `Python/generated_cases.c.h`. Raises `BuildError` with what the generator says."""
    argv: list[str | Path] = [sys.executable, tree / GENERATOR, "-o", tree / RESULT, tree / SOURCE]
    done = subprocess.run(argv, check=False, cwd=tree, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"{GENERATOR} does not take the patched {SOURCE}:\n{done.stderr}")
