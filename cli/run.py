"""``cloche run``: one program in a fresh sandbox."""

import argparse
import json
import sys

from cloche.cli.exit_codes import CommandError, exit_code
from cloche.cli.files import file_to_put, read_source
from cloche.cli.flags import load_tools, sandbox_from
from cloche.cli.output import error_text, full_repr, result_json, write_event
from cloche.cli.worker import run_interruptibly
from cloche.runtime.recording.recorder import Recorder
from cloche.runtime.result import Result
from cloche.runtime.session.session import Session

__all__ = ["command"]


def command(arguments: argparse.Namespace) -> int:
    """Run the program and return the exit code of its outcome. Raises Complaint or CallerError before anything runs."""
    source = read_source(arguments.file)
    files = [file_to_put(text) for text in arguments.put]
    recorder = Recorder(arguments.redact) if arguments.record else None
    with sandbox_from(arguments, load_tools(arguments.tool)).session(recorder=recorder) as session:
        for path, data in files:
            session.put_file(path, data)
        result = _run(session, source, arguments.json)
    if recorder is not None:
        _save(recorder, arguments.record)
    if arguments.json:
        print(json.dumps(result_json(result), allow_nan=False))
    else:
        _show(result)
    return exit_code(result.error)


def _save(recorder: Recorder, path: str) -> None:
    try:
        recorder.recording().save(path)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None


def _run(session: Session, source: str, quiet: bool) -> Result[object]:
    listener = None if quiet else write_event
    return run_interruptibly(lambda: session.run(source, on_event=listener), interrupt=session.interrupt)


def _show(result: Result[object]) -> None:
    if result.error is not None:
        print(error_text(result.error), file=sys.stderr)
    elif result.value is not None:
        print(full_repr(result.value))
