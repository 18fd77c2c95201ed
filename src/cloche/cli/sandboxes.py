"""The sandbox that a command's flags ask for."""

import argparse

from cloche import Sandbox
from cloche.cli.limit_flags import limits_from
from cloche.host_tools import ToolRegistry

__all__ = ["sandbox_from"]


def sandbox_from(arguments: argparse.Namespace, tools: ToolRegistry) -> Sandbox:
    """Return a sandbox with these tools and the limits, metering and seed of the flags.

    Raises ConfigurationError for limits that cannot work together.
    """
    return Sandbox(tools=tools, limits=limits_from(arguments), metering=arguments.metering, seed=_seed(arguments.seed))


def _seed(text: str | None) -> int | str | None:
    """Return the number that the text is, so that ``--seed 7`` is ``Sandbox(seed=7)``; else the text."""
    try:
        return None if text is None else int(text)
    except ValueError:
        return text
