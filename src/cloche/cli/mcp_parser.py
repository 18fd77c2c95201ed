"""The grammar of ``cloche mcp``."""

import argparse
from collections.abc import Callable
from typing import Any

__all__ = ["add_mcp"]

_DESCRIPTION = """\
Serve the sandbox to an MCP client, over standard input and output: run_python, sessions and their files, within
these limits. A client's settings name the command, as in {"command": "cloche", "args": ["mcp", "--time", "30"]}.
"""


def add_mcp(commands: Any, add_sandbox_flags: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add the command to the parser's subcommands."""
    mcp = commands.add_parser("mcp", help="serve the sandbox to an MCP client", description=_DESCRIPTION)
    mcp.add_argument("--http", type=int, metavar="PORT", help="serve streamable HTTP at this port of 127.0.0.1 instead")
    mcp.add_argument("--sessions", type=_count, default=16, metavar="N", help="sessions open at once (default 16)")
    mcp.add_argument(
        "--idle", type=_seconds, default=3_600.0, metavar="SECONDS", help="close sessions unused so long (default 3600)"
    )
    add_sandbox_flags(mcp)


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is less than 0")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text} is not more than 0 seconds")
    return number
