"""Where the ``cloche`` command begins and ends.

Each command is a module with ``add_parser(commands, name, help)``, which adds its grammar, and ``command(arguments)``,
which does the work and returns the exit code. Only the module of the command that is run is imported: they need
different parts of Cloche, and some need an extra.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import NoReturn, TextIO

from cloche.cli.exit_codes import CommandError, ExitCode
from cloche.runtime._terminal import harmless, one_line
from cloche.runtime.errors import CallerError

__all__ = ["build_parser", "main"]

_COMMANDS = {
    "demo": ("cloche.cli.demo.command", "run programs as a model writes them, good and naughty"),
    "run": ("cloche.cli.run", "run a program from a file or standard input"),
    "repl": ("cloche.cli.repl.command", "a session at the keyboard"),
    "session": ("cloche.cli.session.command", "keep sessions between processes"),
    "replay": ("cloche.cli.replay", "run a recording again without its tools"),
    "kernel": ("cloche.cli.kernel.command", "sessions as kernels of Jupyter"),
    "mcp": ("cloche.cli.mcp.command", "serve the sandbox to an MCP client"),
    "serve": ("cloche.cli.serve", "serve sessions of many tenants over HTTP"),
    "ui": ("cloche.cli.serve", "a page to work with agents and sessions"),
    "agent": ("cloche.cli.agent.command", "work on a task with a model"),
    "trace": ("cloche.cli.replay", "show a run record of an agent"),
    "image": ("cloche.cli.image", "images with packages of your own"),
    "info": ("cloche.cli.info", "versions, the guest image, its imports, the cache"),
    "bench": ("cloche.cli.bench", "what isolation costs on this machine"),
}
"""Each command's module and its line in the list of commands."""
_TRACEBACK = "CLOCHE_TRACEBACK"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. What the caller got wrong is one message, without a traceback.

    ``argv`` are the arguments without the program's name, by default those of this process.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    _write_anything(sys.stdout, sys.stderr)
    parser = build_parser(_command_in(words))
    arguments = parser.parse_args(words)
    if arguments.version:
        return _print_version()
    if arguments.command is None:
        parser.print_help()
        return ExitCode.USAGE
    return _guarded(arguments)


def build_parser(*names: str) -> argparse.ArgumentParser:
    """Return the parser, with the grammar of these commands; without names, of all.

    After parsing, ``command`` holds the command's name, None without one.
    """
    parser = _Parser(prog="cloche", description="Run Python that a model wrote, in a sealed CPython.")
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, (module, text) in _COMMANDS.items():
        if name in names or not names:
            import_module(module).add_parser(commands, name, text)
        else:
            commands.add_parser(name, help=text)
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with exit code 2, the message and where to read more; shorter than argparse's whole usage."""
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}\ntry '{self.prog} --help'\n")


def _command_in(words: Sequence[str]) -> str:
    """Return the command's name, empty if there is none: no flag before it takes a value."""
    return next((word for word in words if not word.startswith("-")), "")


def _guarded(arguments: argparse.Namespace) -> int:
    try:
        code: int = import_module(_COMMANDS[arguments.command][0]).command(arguments)
        sys.stdout.flush()
        return code
    except (CommandError, CallerError) as problem:
        print(harmless(f"cloche {arguments.command}: {problem}"), file=sys.stderr)
        return ExitCode.USAGE
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Python flushes stdout at exit and would complain about the closed pipe once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.CLOSED_PIPE
    except Exception as error:  # a message for the user; whoever looks for the cause asks for the traceback
        if os.environ.get(_TRACEBACK):
            raise
        text = one_line(f"{type(error).__name__}: {error}", 1_000)
        print(f"cloche {arguments.command}: {text}\n(with {_TRACEBACK}=1 set, the traceback is shown)", file=sys.stderr)
        return ExitCode.FAILED


def _print_version() -> int:
    from cloche import __version__

    print(f"cloche {__version__}")
    return ExitCode.OK


def _write_anything(*streams: TextIO) -> None:
    """Make every text printable, whatever the terminal's encoding is."""
    for stream in streams:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
