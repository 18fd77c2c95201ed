"""Docstrings in Google's style: the text, and what it says of each argument."""

import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

__all__ = ["Docstring", "parse_docstring"]

_SECTION = re.compile(r"(Args|Arguments|Parameters|Returns?|Yields?|Raises|Examples?|Notes?|Warnings?|See Also):\s*$")
_ARGUMENTS = {"Args", "Arguments", "Parameters"}
_ENTRY = re.compile(r"\*{0,2}(?P<name>\w+)\s*(\([^)]*\))?\s*:\s*(?P<text>.*)$")


@dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring taken apart: ``full`` dedented text, ``lead`` before the first section, ``arguments`` by name."""

    full: str = ""
    lead: str = ""
    arguments: dict[str, str] = field(default_factory=dict[str, str])


def parse_docstring(text: str | None) -> Docstring:
    """Take a docstring apart. Text that follows no style has a ``lead`` only; None gives an empty Docstring."""
    full = inspect.cleandoc(text or "").strip()
    lead: list[str] = []
    arguments: list[str] = []
    for title, line in _by_section(full.splitlines()):
        if not title:
            lead.append(line)
        elif title in _ARGUMENTS:
            arguments.append(line)
    return Docstring(full, "\n".join(lead).strip(), _entries(arguments))


def _by_section(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each line with the title of the section it stands in; a section's own title line is left out."""
    title = ""
    for line in lines:
        match = _SECTION.match(line)
        if match:
            title = match[1]
        else:
            yield title, line


def _entries(lines: list[str]) -> dict[str, str]:
    """Join each entry's lines; a line that is indented deeper than the entries continues the one before it."""
    margin = min((_indent(line) for line in lines if line.strip()), default=0)
    entries: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        match = _ENTRY.match(line.strip()) if _indent(line) == margin else None
        if match:
            current = entries.setdefault(match["name"], [match["text"]])
        else:
            current.append(line.strip())
    return {name: " ".join(filter(None, parts)) for name, parts in entries.items()}


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
