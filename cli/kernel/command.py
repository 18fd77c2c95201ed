"""``cloche kernel``: sessions as kernels of Jupyter, for notebooks and whatever else speaks to kernels."""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from cloche.cli.exit_codes import CommandError, ExitCode
from cloche.cli.flags import Commands, add_sandbox_flags, load_tools, sandbox_from
from cloche.cli.output import need_package
from cloche.host_tools import ToolRegistry
from cloche.runtime.limits import LIMITS

__all__ = ["add_parser", "command"]

_DESCRIPTION = """\
Run the cells of notebooks in a sandbox. Install the kernel once, then choose it in Jupyter. The tools and limits that
are given when it is installed are those of its sessions.
"""


def add_parser(commands: Commands, name: str, help: str) -> None:
    """Add the command's grammar."""
    kernel = commands.add_parser(name, help=help, description=_DESCRIPTION)
    kernel.add_argument("action", choices=("install", "run"), help="install the kernel, or run one (Jupyter does)")
    kernel.add_argument("--name", default="cloche", help="the kernel's name in Jupyter (default: cloche)")
    kernel.add_argument("--display-name", default="", metavar="TEXT", help="what menus show (default: Python (Cloche))")
    kernel.add_argument("--prefix", metavar="DIR", help="install into DIR/share/jupyter/kernels, not for the user")
    kernel.add_argument("-f", "--connection-file", metavar="FILE", help=argparse.SUPPRESS)
    add_sandbox_flags(kernel)


def command(arguments: argparse.Namespace) -> int:
    """Install the kernel, or run one until its client ends it. Raises CommandError or CallerError."""
    need_package("ipykernel", "jupyter")
    # A kernel's input() is a tool.
    tools = ToolRegistry(dict(load_tools(arguments.tool)), shadow_builtins=True)
    box = sandbox_from(arguments, tools)
    if arguments.action == "install":
        print(f"installed the kernel {arguments.name!r} in {_install(arguments)}")
        return ExitCode.OK
    if arguments.connection_file is None:
        raise CommandError("Jupyter runs the kernel: install it, and choose it there")
    from cloche.cli.kernel.kernel import run

    run(box, tools, arguments.connection_file)
    return ExitCode.OK


def _install(arguments: argparse.Namespace) -> str:
    from jupyter_client.kernelspec import KernelSpecManager

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "kernel.json").write_text(json.dumps(_spec(arguments), indent=1), encoding="utf-8")
        manager: Any = KernelSpecManager()
        place = manager.install_kernel_spec(
            folder, arguments.name, user=arguments.prefix is None, prefix=arguments.prefix
        )
    return str(place)


def _spec(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "argv": [sys.executable, "-m", "cloche", "kernel", "run", *_flags(arguments), "-f", "{connection_file}"],
        "display_name": arguments.display_name or "Python (Cloche)",
        "language": "python",
        # The session is interrupted by a message: a signal would reach it between two of its own lines.
        "interrupt_mode": "message",
        "metadata": {"debugger": False},
    }


def _flags(arguments: argparse.Namespace) -> list[str]:
    """Return the sandbox's flags as they were given, for the command that Jupyter will start."""
    flags = [f"--metering={arguments.metering}", *(f"--tool={tool}" for tool in arguments.tool)]
    flags += [] if arguments.seed is None else [f"--seed={arguments.seed}"]
    given = {name: getattr(arguments, f"limit_{name}") for name in LIMITS if hasattr(arguments, f"limit_{name}")}
    limits = {name.replace("_", "-"): "none" if value is None else value for name, value in given.items()}
    return flags + [f"--{name}={value}" for name, value in limits.items()]
