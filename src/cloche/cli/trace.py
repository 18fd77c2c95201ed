"""``cloche trace``: a run record as text, or as a page with a timeline."""

import argparse
from pathlib import Path

from cloche.agent.trace import RecordError, as_html, as_text, read_record
from cloche.cli.complaint import Complaint
from cloche.cli.exit_codes import ExitCode

__all__ = ["command"]


def command(arguments: argparse.Namespace) -> int:
    """Print the record, or write the page. Raises Complaint for a file that is no record or cannot be written."""
    try:
        runs = read_record(arguments.file)
        if arguments.html is None:
            print(as_text(runs))
        else:
            Path(arguments.html).write_text(as_html(runs), encoding="utf-8")
    except OSError as error:
        raise Complaint(f"{error.filename}: {error.strerror}") from error
    except RecordError as error:
        raise Complaint(str(error)) from error
    return ExitCode.OK
