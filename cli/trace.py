"""``cloche trace``: a run record as text, or as a page with a timeline."""

import argparse
from pathlib import Path

from cloche.agent.monitoring import RecordError, TracedRun, as_html, as_text, read_record
from cloche.cli.exit_codes import CommandError, ExitCode

__all__ = ["command"]


def command(arguments: argparse.Namespace) -> int:
    """Print the record, or write the page. Raises Complaint for a file that is no record or cannot be written."""
    runs = _read(arguments.file)
    if arguments.html is None:
        print(as_text(runs))
    else:
        _write(arguments.html, as_html(runs))
    return ExitCode.OK


def _read(file: str) -> list[TracedRun]:
    try:
        return read_record(file)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from error
    except RecordError as error:
        raise CommandError(str(error)) from error


def _write(file: str, page: str) -> None:
    try:
        Path(file).write_text(page, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from error
