"""Counts how many of these replies smolagents' own parsers read rightly: run this file where smolagents is installed.

It prints the table of docs/comparison.md, and needs no Cloche: its column is what the tests of these replies hold. A
program counts as right if smolagents finds it in the whole reply, or in what a server returns that stops at its stop
texts; blank lines and trailing blanks make no difference. So do ids of calls, of which it reads one for each reply.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[4]))

from tests.agent.unit.replies import calls, families, programs

TAGS = ("<code>", "</code>")
STOP = ("Observation:", "Calling tools:", TAGS[1])


def main() -> None:
    """Print the table."""
    from smolagents import __version__  # pyright: ignore[reportMissingTypeStubs]
    from smolagents.models import get_tool_call_from_text  # pyright: ignore[reportMissingTypeStubs]
    from smolagents.utils import parse_code_blobs  # pyright: ignore[reportMissingTypeStubs]

    def program(text: str) -> list[str | None]:
        return [_or_none(partial(parse_code_blobs, said, TAGS)) for said in _as_received(text)]

    def call(text: str) -> list[Any]:
        def found() -> list[tuple[str, Any]]:
            request = get_tool_call_from_text(text, "name", "arguments").function
            return [(request.name, request.arguments)]

        return [_or_none(found)]

    print(f"| family | replies | Cloche | smolagents {__version__} |\n|---|---|---|---|")
    totals = [0, 0]
    for family in [*families.PROGRAMS, "any"]:
        of_programs = programs.PROGRAMS if family == "any" else families.PROGRAMS[family]
        of_calls = calls.CALLS if family == "any" else families.CALLS[family]
        right = sum(any(_same(one, code) for one in program(text)) for text, code in of_programs)
        right += sum(any(one == made for one in call(text)) for text, made in of_calls)
        count = len(of_programs) + len(of_calls)
        totals = [totals[0] + count, totals[1] + right]
        print(f"| {family} | {count} | {count} | {right} |")
    print(f"| **all** | **{totals[0]}** | **{totals[0]}** | **{totals[1]}** |")


def _as_received(text: str) -> Iterator[str]:
    """Yield a reply whole, and as a server with stop texts returns it; smolagents adds the end that is missing."""
    ends = [end for mark in STOP if (end := text.find(mark)) >= 0]
    for said in dict.fromkeys((text, text[: min(ends)] if ends else text)):
        yield said if said.strip().endswith(TAGS[1]) or not said else f"{said}{TAGS[1]}"
        yield said


def _same(found: str | None, code: str | None) -> bool:
    return found == code if found is None or code is None else _bare(found) == _bare(code)


def _bare(code: str) -> list[str]:
    return [line.rstrip() for line in code.strip("\n").splitlines() if line.strip()]


def _or_none(find: Callable[[], Any]) -> Any:
    try:
        return find()
    except Exception:
        return None


if __name__ == "__main__":
    main()
