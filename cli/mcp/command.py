"""``cloche mcp``: the sandbox as an MCP server."""

import argparse

from cloche.agent.prompting import stubs
from cloche.cli.exit_codes import ExitCode
from cloche.cli.flags import Commands, add_sandbox_flags, load_tools, sandbox_from
from cloche.cli.output import need_package
from cloche.host_tools import ToolRegistry

__all__ = ["add_parser", "command"]

_DESCRIPTION = """\
Serve the sandbox to an MCP client, over standard input and output: run_python, sessions and their files, within
these limits. A client's settings name the command, as in {"command": "cloche", "args": ["mcp", "--time", "30"]}.
"""


def add_parser(commands: Commands, name: str, help: str) -> None:
    """Add the command's grammar."""
    mcp = commands.add_parser(name, help=help, description=_DESCRIPTION)
    mcp.add_argument(
        "--http", type=_port, metavar="PORT", help="serve streamable HTTP at this port of 127.0.0.1 instead"
    )
    mcp.add_argument("--sessions", type=_count, default=16, metavar="N", help="sessions open at once (default 16)")
    mcp.add_argument(
        "--idle", type=_seconds, default=3_600.0, metavar="SECONDS", help="close sessions unused so long (default 3600)"
    )
    add_sandbox_flags(mcp)


def command(arguments: argparse.Namespace) -> int:
    """Serve until the client leaves. Raises CommandError or CallerError for what cannot be served."""
    need_package("mcp", "mcp")
    from cloche.cli.mcp.server import OpenSessions, Service, make_server

    tools = load_tools(arguments.tool)
    sandbox = sandbox_from(arguments, tools)
    # An image that cannot be used is refused now, and the first client does not wait for its compilation.
    sandbox.run("")
    sessions = OpenSessions(sandbox, arguments.sessions, arguments.idle)
    server = make_server(Service(sandbox, sessions), _described(tools))
    if arguments.http is None:
        server.run("stdio")
    else:
        server.run("streamable-http", host="127.0.0.1", port=arguments.http)
    return ExitCode.OK


def _described(tools: ToolRegistry) -> str:
    """Return the tools as a model reads them: signatures and docstrings."""
    return f"Programs can call these functions of the host:\n\n{stubs(tools.specs())}\n" if tools else ""


def _port(text: str) -> int:
    number = int(text) if text.isdecimal() and len(text) < 6 else 0
    if not 0 < number < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text[:60]!r} is not a port between 1 and 65535")
    return number


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text[:60]!r} is not a whole number >= 0")
    return number


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text[:60]!r} is not a number of seconds above 0")
    return number
