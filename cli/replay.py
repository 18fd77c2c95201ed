"""``cloche replay``: a recording once more, without its tools."""

import argparse

from cloche.cli.exit_codes import ExitCode
from cloche.cli.files import problems_with
from cloche.cli.flags import Commands
from cloche.runtime._terminal import harmless
from cloche.runtime.recording.recording import Recording
from cloche.runtime.recording.replay import Replay, replay

__all__ = ["add_parser", "command"]

_DESCRIPTION = """\
Run a recording again, as cloche run --record writes it, without its tools: they answer what they answered then.
Prints the first difference, if there is one, and ends with exit code 1.
"""


def add_parser(commands: Commands, name: str, help: str) -> None:
    """Add the command's grammar."""
    parser = commands.add_parser(name, help=help, description=_DESCRIPTION)
    parser.add_argument("file", metavar="FILE", help="the recording, msgpack or JSON")


def command(arguments: argparse.Namespace) -> int:
    """Replay the recording and report the outcome; exit code 1 if something differs.

    Raises CommandError or CallerError for a file that is no recording.
    """
    with problems_with(arguments.file):
        recording = Recording.load(arguments.file)
    report = replay(recording)
    print(harmless(_summary(report)))
    return ExitCode.OK if report.difference is None else ExitCode.FAILED


def _summary(report: Replay) -> str:
    same = f"{_count(report.runs, 'run')} with {_count(report.calls, 'tool call')} went the same way"
    if report.difference is not None:
        return f"{same}; then {report.difference}"
    return same if report.complete else f"{same}; the recording stops early, because it had become too large"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"
