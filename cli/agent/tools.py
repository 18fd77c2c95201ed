"""The tools that ``cloche agent`` is told to use."""

import argparse
import shlex
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

from cloche.cli.agent.script import scripted_tools
from cloche.cli.exit_codes import CommandError
from cloche.cli.flags import load_tools
from cloche.host_tools import ToolLike
from cloche.host_tools.external import ToolCollection

__all__ = ["agent_tools"]


@contextmanager
def agent_tools(arguments: argparse.Namespace) -> Generator[dict[str, ToolLike], None, None]:
    """Give the tools of the flags by name; connections to MCP servers end with the block. Raises Complaint."""
    with ExitStack() as servers:
        tools: dict[str, ToolLike] = dict(scripted_tools()) if arguments.scripted else {}
        tools |= load_tools(arguments.tool)
        for server in arguments.mcp:
            tools |= servers.enter_context(_connection(server))
        yield tools


@contextmanager
def _connection(server: str) -> Generator[ToolCollection, None, None]:
    with ExitStack() as stack:
        try:
            found = stack.enter_context(ToolCollection.from_mcp(_place(server)))
        except (ConnectionError, OSError) as error:
            raise CommandError(f"--mcp {server}: {error}") from error
        yield found


def _place(server: str) -> Any:
    if server.startswith(("http://", "https://")):
        return server
    command, *arguments = shlex.split(server) or [""]
    return {"command": command, "args": arguments}
