"""Where the ``cloche`` command begins and ends."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from typing import TYPE_CHECKING, NoReturn, TextIO

from cloche.bench.command import add_arguments
from cloche.cli.agent.command import add_agent, add_trace
from cloche.cli.exit_codes import CommandError, ExitCode
from cloche.cli.flags import add_limit_flags
from cloche.cli.mcp.command import add_mcp
from cloche.cli.session.command import add_replay, add_session
from cloche.runtime.errors import CallerError

__all__ = ["EXIT_CODES", "build_parser", "main"]


EXIT_CODES = """\
exit codes:
  0    the program ran to its end
  1    the program raised an exception, or its value cannot leave the sandbox
  2    the command line, a file, a tool or the image is wrong; nothing was run
  3    a limit ended the program
  4    the guest crashed or broke the bridge protocol
  5    the program waits for an answer; cloche session only
  130  interrupted with Ctrl-C
  141  nobody reads the output any more
"""
"""What `cloche run --help` says of exit codes."""
_RUN = """\
Run a Python program in a fresh sandbox. What it prints appears as it is printed, control characters written
out; then the value of its last expression, if it has one. Tools given with --tool are functions in the program.
"""
_JSON = """\
--json prints one object: value, value_type, value_repr (set where JSON cannot hold the value, which is then
null), stdout, stderr, error (null, or type, message, exception, line, traceback, used, limit), usage (fuel,
wall, memory_peak, output_bytes, calls), calls (name, args, kwargs, outcome, value, error, seconds), rolled_back.
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; after parsing, ``command`` holds the command's name."""
    parser = _Parser(prog="cloche", description="Run Python that a model wrote, in a sealed CPython.")
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    _add_demo(commands)
    _add_run(commands)
    _add_repl(commands)
    add_session(commands, _add_sandbox_flags)
    add_replay(commands)
    add_mcp(commands, _add_sandbox_flags)
    add_agent(commands)
    add_trace(commands)
    _add_info(commands)
    _add_bench(commands)
    return parser


_FOLDERS = ("agent", "demo", "mcp", "repl", "session")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with exit code 2, the message and where to read more; shorter than argparse's whole usage."""
        self.exit(2, f"{self.prog}: {message}\ntry '{self.prog} --help'\n")


if TYPE_CHECKING:
    # Private everywhere, and generic for type checkers only.
    _Commands = argparse._SubParsersAction[_Parser]  # pyright: ignore[reportPrivateUsage]


def _add_demo(commands: "_Commands") -> None:
    demo = commands.add_parser(
        "demo",
        help="run programs as a model writes them, good and naughty",
        description="Run a set of programs as a model writes them, good and naughty, and show what became of each.",
    )
    demo.add_argument("names", nargs="*", metavar="NAME", help="only these programs (default: all)")
    demo.add_argument("--list", action="store_true", help="list the programs instead of running them")
    demo.add_argument("--source", metavar="NAME", help="show one program's source")


def _add_run(commands: "_Commands") -> None:
    run = commands.add_parser(
        "run",
        help="run a program from a file or standard input",
        description=_RUN,
        epilog=f"{_JSON}\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("file", metavar="FILE", help="the program; - reads standard input")
    run.add_argument("--json", action="store_true", help="print one JSON object instead of the output")
    run.add_argument("--put", action="append", default=[], metavar="FILE[=PATH]", help="copy a file into the sandbox")
    run.add_argument("--record", metavar="FILE", help="write a recording, which cloche replay runs again")
    run.add_argument(
        "--redact", action="append", default=[], metavar="TOOL[.ARGUMENT]", help="what to keep out of the recording"
    )
    _add_sandbox_flags(run)


def _add_repl(commands: "_Commands") -> None:
    repl = commands.add_parser(
        "repl",
        help="a session at the keyboard",
        description="Type Python into one session of a sandbox. :help lists the commands.",
    )
    _add_sandbox_flags(repl)


def _add_info(commands: "_Commands") -> None:
    info = commands.add_parser(
        "info",
        help="versions, the guest image, its imports, the cache",
        description="Show what this installation consists of.",
    )
    info.add_argument("--json", action="store_true", help="print one JSON object")
    info.add_argument("--licenses", action="store_true", help="show the licences of everything inside the guest image")


def _add_bench(commands: "_Commands") -> None:
    bench = commands.add_parser(
        "bench",
        help="what isolation costs on this machine",
        description="Measure Cloche and its peers, as far as they are installed (pip install 'cloche[bench]').",
    )
    add_arguments(bench)


def _add_sandbox_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tool", action="append", default=[], metavar="MODULE:FUNCTION", help="a host tool; may be repeated"
    )
    parser.add_argument(
        "--metering", choices=("fuel", "epoch", "none"), default="fuel", help="what bounds computing (default: fuel)"
    )
    parser.add_argument("--seed", metavar="SEED", help="make randomness repeatable: a number or any text")
    add_limit_flags(parser)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; problems of the caller are told without a traceback.

    ``argv`` are the arguments without the program's name, by default those of this process.
    """
    _write_anything(sys.stdout, sys.stderr)
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if arguments.version:
        return _print_version()
    if arguments.command is None:
        parser.print_help()
        return ExitCode.USAGE
    return _guarded(_command(arguments.command), arguments)


def _command(name: str) -> Callable[[argparse.Namespace], int]:
    """Return the command's function. Imported only now: each command needs other modules, and rich is an extra."""
    command: Callable[[argparse.Namespace], int] = importlib.import_module(
        f"cloche.cli.{name}{'.command' * (name in _FOLDERS)}"
    ).command
    return command


def _guarded(command: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    try:
        code = command(arguments)
        sys.stdout.flush()
        return code
    except (CommandError, CallerError) as problem:
        print(f"cloche {arguments.command}: {problem}", file=sys.stderr)
        return ExitCode.USAGE
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Python flushes stdout at exit and would complain about the closed pipe once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.CLOSED_PIPE


def _print_version() -> int:
    from cloche.cli.info import cloche_version

    print(f"cloche {cloche_version()}")
    return ExitCode.OK


def _write_anything(*streams: TextIO) -> None:
    """Make every text printable, whatever the terminal's encoding is."""
    for stream in streams:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
