"""``cloche replay``: a recording once more, without its tools."""

import argparse

from cloche.cli.exit_codes import CommandError, ExitCode
from cloche.cli.harmless import harmless
from cloche.runtime.recording.recording import Recording
from cloche.runtime.recording.replay import Replay, replay

__all__ = ["command"]


def command(arguments: argparse.Namespace) -> int:
    """Replay the recording and say what came of it; exit code 1 if something differs. Raises Complaint, CallerError."""
    recording = _load(arguments.file)
    report = replay(recording)
    print(harmless(_summary(report)))
    return ExitCode.OK if report.difference is None else ExitCode.FAILED


def _load(path: str) -> Recording:
    try:
        return Recording.load(path)
    except OSError as error:
        raise CommandError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None


def _summary(report: Replay) -> str:
    same = f"{_count(report.runs, 'run')} with {_count(report.calls, 'tool call')} went the same way"
    if report.difference is not None:
        return f"{same}; then {report.difference}"
    return same if report.complete else f"{same}; the recording stops early, because it had become too large"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"
