"""``cloche trace``: a run record as text, or as a page with a timeline."""

import argparse
from pathlib import Path

from cloche.agent.monitoring.trace_page import as_html
from cloche.agent.monitoring.traces import RecordError, as_text, read_record
from cloche.cli.exit_codes import CommandError, ExitCode
from cloche.cli.files import problems_with
from cloche.cli.flags import Commands

__all__ = ["add_parser", "command"]


def add_parser(commands: Commands, name: str, help: str) -> None:
    """Add the command's grammar."""
    trace = commands.add_parser(name, help=help)
    trace.add_argument("file", metavar="FILE", help="what RunRecorder, or cloche agent --record, wrote")
    trace.add_argument("--html", metavar="OUT", help="write a page with a timeline instead of printing text")


def command(arguments: argparse.Namespace) -> int:
    """Print the record, or write the page. Raises CommandError for a file that is no record or cannot be written."""
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
