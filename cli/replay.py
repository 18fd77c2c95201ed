"""``cloche replay``: a recording once more, without its tools. ``cloche trace``: an agent's run record, to be read."""

import argparse
from pathlib import Path

from cloche.cli.exit_codes import CommandError, ExitCode
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
    if name == "trace":
        trace = commands.add_parser(name, help=help)
        trace.add_argument("file", metavar="FILE", help="what RunRecorder, or cloche agent --record, wrote")
        trace.add_argument("--html", metavar="OUT", help="write a page with a timeline instead of printing text")
        return
    parser = commands.add_parser(name, help=help, description=_DESCRIPTION)
    parser.add_argument("file", metavar="FILE", help="the recording, msgpack or JSON")


def command(arguments: argparse.Namespace) -> int:
    """Replay the recording and report the outcome; exit code 1 if something differs. Or show the record.

    Raises CommandError or CallerError for a file that is none, or that cannot be written.
    """
    if arguments.command == "trace":
        return _trace(arguments)
    with problems_with(arguments.file):
        recording = Recording.load(arguments.file)
    report = replay(recording)
    print(harmless(_summary(report)))
    return ExitCode.OK if report.difference is None else ExitCode.FAILED


def _trace(arguments: argparse.Namespace) -> int:
    from cloche.agent.monitoring.trace_page import as_html
    from cloche.agent.monitoring.traces import RecordError, as_text, read_record

    try:
        with problems_with(arguments.file):
            runs = read_record(arguments.file)
    except RecordError as error:
        raise CommandError(str(error)) from error
    if arguments.html is None:
        print(as_text(runs))
        return ExitCode.OK
    with problems_with(arguments.html, "write"):
        Path(arguments.html).write_text(as_html(runs), encoding="utf-8")
    return ExitCode.OK


def _summary(report: Replay) -> str:
    same = f"{_count(report.runs, 'run')} with {_count(report.calls, 'tool call')} went the same way"
    if report.difference is not None:
        return f"{same}; then {report.difference}"
    return same if report.complete else f"{same}; the recording stops early, because it had become too large"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"
