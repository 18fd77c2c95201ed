"""``cloche run``: one program in a fresh sandbox."""

import argparse
import json
import os
import re
import sys

from cloche.cli.exit_codes import EXIT_CODES, CommandError, exit_code
from cloche.cli.files import file_to_put, problems_with, read_source
from cloche.cli.flags import Commands, add_sandbox_flags, load_tools, sandbox_from
from cloche.cli.output import result_json, show_result, write_event
from cloche.cli.worker import run_interruptibly
from cloche.runtime.recording.recorder import Recorder
from cloche.runtime.result import Result
from cloche.runtime.session.session import Session

__all__ = ["add_parser", "command"]

# Standard input is read to its end before the program starts, so only where the program would wait for it as well.
_READS = re.compile(r"\b(input\s*\(|stdin\b|open\s*\(\s*0\b|fileinput\b)")

_DESCRIPTION = """\
Run a Python program in a fresh sandbox. What it prints appears as it is printed, control characters written
out; then the value of its last expression, if it has one. Tools given with --tool are functions in the program.
"""
_JSON = """\
--json prints one object: value, value_type, value_repr (set where JSON cannot hold the value, which is then
null), stdout, stderr, error (null, or type, message, exception, line, traceback, used, limit), usage (fuel,
wall, memory_peak, output_bytes, calls), calls (name, args, kwargs, outcome, value, error, seconds), rolled_back,
displays (kind, and data by MIME type, bytes of images in base64).
"""


def add_parser(commands: Commands, name: str, help: str) -> None:
    """Add the command's grammar."""
    run = commands.add_parser(
        name,
        help=help,
        description=_DESCRIPTION,
        epilog=f"{_JSON}\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("file", metavar="FILE", help="the program; - reads standard input")
    run.add_argument("--json", action="store_true", help="print one JSON object instead of the output")
    run.add_argument(
        "--stdin",
        metavar="FILE",
        help="what the program reads from sys.stdin; - (default, where the program seems to read) is standard input",
    )
    run.add_argument("--put", action="append", default=[], metavar="FILE[=PATH]", help="copy a file into the sandbox")
    run.add_argument("--record", metavar="FILE", help="write a recording, which cloche replay runs again")
    run.add_argument(
        "--redact", action="append", default=[], metavar="TOOL[.ARGUMENT]", help="what to keep out of the recording"
    )
    run.add_argument("--save-displays", metavar="DIR", help="write figures and rich values to files in this folder")
    add_sandbox_flags(run)


def command(arguments: argparse.Namespace) -> int:
    """Run the program and return the exit code of its outcome.

    Raises CommandError or CallerError before anything runs.
    """
    source = read_source(arguments.file)
    stdin = _stdin(arguments.stdin, arguments.file, source)
    files = [file_to_put(text) for text in arguments.put]
    recorder = Recorder(arguments.redact) if arguments.record else None
    with sandbox_from(arguments, load_tools(arguments.tool)).session(recorder=recorder, single_run=True) as session:
        for path, data in files:
            session.put_file(path, data)
        result = _run(session, source, stdin, arguments.json)
    if recorder is not None:
        with problems_with(arguments.record, "write"):
            recorder.recording().save(arguments.record)
    if arguments.save_displays:
        _save_displays(result, arguments.save_displays)
    if not arguments.json:
        return show_result(result)
    print(json.dumps(result_json(result), allow_nan=False))
    return exit_code(result.error, result.exit_code)


def _save_displays(result: Result[object], folder: str) -> None:
    with problems_with(folder, "write to"):
        os.makedirs(folder, exist_ok=True)
        for number, display in enumerate(result.displays, 1):
            for path in display.save(folder, f"{number}-{display.kind}"):
                print(f"wrote {path}", file=sys.stderr)


def _stdin(place: str | None, file: str, source: str) -> str | None:
    if place is not None and place == file == "-":
        raise CommandError("standard input cannot be both the program and what it reads")
    if place is not None:
        return read_source(place)
    given = file != "-" and sys.stdin is not None and not sys.stdin.isatty()
    return read_source("-") if given and _READS.search(source) else None


def _run(session: Session, source: str, stdin: str | None, quiet: bool) -> Result[object]:
    listener = None if quiet else write_event
    return run_interruptibly(lambda: session.run(source, stdin=stdin, on_event=listener), interrupt=session.interrupt)
