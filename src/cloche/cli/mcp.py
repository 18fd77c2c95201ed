"""``cloche mcp``: the sandbox as an MCP server."""

import argparse
import importlib.util

from cloche.cli.complaint import Complaint
from cloche.cli.exit_codes import ExitCode
from cloche.cli.mcp_server.service import Service
from cloche.cli.mcp_server.sessions import OpenSessions
from cloche.cli.sandboxes import sandbox_from
from cloche.cli.tool_flags import load_tools
from cloche.host_tools import ToolRegistry

__all__ = ["command"]


def command(arguments: argparse.Namespace) -> int:
    """Serve until the client leaves. Raises Complaint or CallerError for what cannot be served."""
    if importlib.util.find_spec("mcp") is None:
        raise Complaint("this command needs the MCP SDK: pip install 'cloche[mcp]'")
    from cloche.cli.mcp_server.server import make_server

    tools = load_tools(arguments.tool)
    sandbox = sandbox_from(arguments, tools)
    # So that an image that cannot be used is told now, and the first client does not wait for its compilation.
    sandbox.run("")
    sessions = OpenSessions(sandbox, arguments.sessions, arguments.idle)
    server = make_server(Service(sandbox, sessions), _described(tools))
    if arguments.http is None:
        server.run("stdio")
    else:
        server.run("streamable-http", host="127.0.0.1", port=arguments.http)
    return ExitCode.OK


def _described(tools: ToolRegistry) -> str:
    return f"Programs can call these functions of the host: {', '.join(tools)}." if tools else ""
