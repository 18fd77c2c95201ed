"""``cloche info``: what this installation consists of."""

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from cloche.cli.exit_codes import ExitCode
from cloche.cli.installation import installation
from cloche.cli.licences import licences_text

__all__ = ["command"]


def command(arguments: argparse.Namespace) -> int:
    """Print the facts or the licences. Raises ImageError if the image is missing or damaged."""
    if arguments.licenses:
        print(licences_text(), end="")
        return ExitCode.OK
    facts = installation()
    print(json.dumps(facts, indent=2) if arguments.json else "\n".join(_lines(facts)))
    return ExitCode.OK


def _lines(facts: Mapping[str, Any]) -> list[str]:
    """Return the facts as indented text: the same for people with and without rich."""
    lines: list[str] = []
    for title, content in facts.items():
        lines += ["", title] if lines else [title]
        lines += [f"  {line}" for line in _items(content)]
    return lines


def _items(content: Any) -> Sequence[str]:
    if isinstance(content, dict):
        items = cast("dict[str, Any]", content)
        width = max(map(len, items), default=0)
        return [f"{name:{width}}  {_shown(value)}" for name, value in items.items()]
    return [str(item) for item in content]


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
