"""How a command ends: its exit code, and the exception for what the caller got wrong."""

from enum import IntEnum

from cloche.runtime.errors import GuestCrashed, GuestError, Interrupted, LimitExceeded, ProtocolError, StackOverflow

__all__ = ["CommandError", "ExitCode", "exit_code"]


class CommandError(Exception):
    """A problem to show as one message, without a traceback; the command then ends with exit code 2."""


class ExitCode(IntEnum):
    """One code for each way a command can end."""

    OK = 0
    """Everything went as it should."""
    FAILED = 1
    """The program raised an exception or its value cannot leave the sandbox; for ``demo``, a surprise."""
    USAGE = 2
    """The command line, a file or a tool is wrong; nothing was run."""
    LIMIT = 3
    """A limit ended the program, the stack's included."""
    CRASHED = 4
    """The guest crashed or broke the bridge protocol."""
    WAITING = 5
    """The program waits for somebody's answer; only ``session`` lets one wait."""
    INTERRUPTED = 130
    """Ctrl-C, as shells report it."""
    CLOSED_PIPE = 141
    """Whoever read the output stopped reading, as shells report it."""


def exit_code(error: GuestError | None) -> ExitCode:
    """Return the code for a run's error."""
    match error:
        case None:
            return ExitCode.OK
        case LimitExceeded() | StackOverflow():
            return ExitCode.LIMIT
        case GuestCrashed() | ProtocolError():
            return ExitCode.CRASHED
        case Interrupted():
            return ExitCode.INTERRUPTED
        case _:
            return ExitCode.FAILED
