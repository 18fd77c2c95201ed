"""Writes docs/security/attacks.md: the table of attacks with counts, and the last long results."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.hostile.attacks import CLASSES, Attack
from tests.hostile.results import results

__all__ = ["PAGE", "cases_of", "page"]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "security" / "attacks.md"

_HEAD = """\
# Attacks, and what comes of them

This page is generated from `tests/hostile/attacks.py` by `python -m tests.hostile.page`; a test fails where they
differ. Each row is a class of attack with the tests that do it, and how many cases these have. A test of a limit looks
at the error, at when the run ended, and at what the host's memory did.
"""
_LONG = """\
## The last long results

`make fuzz`, `make soak` and `make kills` run for minutes to hours; `make test` has a short part of each. These are
their last long results, as they were written down.
"""
_COMMANDS = {
    "fuzz": "`make fuzz`: forged messages for each of the host's readers, made of sound ones, small and huge",
    "soak": "`make soak`: mixed runs in one process, measured ten times",
    "kills": "`make kills`: processes killed while they save, and losses of power that drop what was not synced",
}


def cases_of(test: str) -> int:
    """Return how many cases a test has: the product of what it is parametrized with. Raises if there is none."""
    path, _, name = test.partition("::")
    function: Any = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name)
    count = 1
    for mark in getattr(function, "pytestmark", ()):
        if mark.name == "parametrize":
            count *= len(list(mark.args[1]))
    return count


def page() -> str:
    """Return the page as it has to be."""
    total = sum(len(attacks) for attacks in CLASSES.values())
    cases = sum(cases_of(test) for attacks in CLASSES.values() for attack in attacks for test in attack.tests)
    parts = [_HEAD, f"{total} classes of attack, {cases:,} cases.\n"]
    for title, attacks in CLASSES.items():
        parts.append(f"## {title}\n\n| id | what is done | what comes of it | tests | cases |\n|---|---|---|---|---|\n")
        parts[-1] += "".join(map(_row, attacks))
    return "\n".join([*parts, _LONG, *_results()])


def _row(attack: Attack) -> str:
    files = sorted({test.partition("::")[0] for test in attack.tests})
    cells = (attack.id, attack.what, attack.expected, "<br>".join(f"`{file}`" for file in files))
    return f"| {' | '.join(cells)} | {sum(map(cases_of, attack.tests)):,} |\n"


def _results() -> Iterator[str]:
    noted = results()
    for command, title in _COMMANDS.items():
        yield f"### {command.capitalize()}\n\n{title}.\n"
        rows = "".join(f"| {name} | {_shown(value)} |\n" for name, value in noted.get(command, {}).items())
        yield f"| | |\n|---|---|\n{rows}" if rows else "No long result was written down yet.\n"


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    text = page()
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}: {text.count(chr(10))} lines\n")
