"""How a command ends: its exit code, and the exception for what the caller got wrong."""

from enum import IntEnum

from cloche.runtime.errors import GuestCrashed, GuestError, Interrupted, LimitExceeded, ProtocolError, StackOverflow

__all__ = ["EXIT_CODES", "CommandError", "ExitCode", "exit_code"]

EXIT_CODES = """\
exit codes:
  0    the program ran to its end; after sys.exit(N) the code is N
  1    the program raised an exception, or its value cannot leave the sandbox
  2    the command line, a file, a tool or the image is wrong; nothing was run
  3    a limit ended the program; for cloche agent, its steps or another budget were used up
  4    the guest crashed or broke the bridge protocol
  5    the program waits for an answer; cloche session only
  130  interrupted with Ctrl-C
  141  the reader of the output went away
"""
"""What ``--help`` says of exit codes."""


class CommandError(Exception):
    """A problem to show as one message, without a traceback; the command then ends with exit code 2."""


class ExitCode(IntEnum):
    """One code for each way a command can end."""

    OK = 0
    """Everything went as it should."""
    FAILED = 1
    """The program raised an exception or its value cannot leave the sandbox; for ``demo``, an unexpected outcome."""
    USAGE = 2
    """The command line, a file or a tool is wrong; nothing was run."""
    LIMIT = 3
    """A limit ended the program, the stack's included; for ``agent``, its steps or another budget were used up."""
    CRASHED = 4
    """The guest crashed or broke the bridge protocol."""
    WAITING = 5
    """The program waits for an answer to a call; only ``session`` lets one wait."""
    INTERRUPTED = 130
    """Ctrl-C, as shells report it."""
    CLOSED_PIPE = 141
    """The reader of the output closed it, as shells report it."""


def exit_code(error: GuestError | None, status: int | None = None) -> int:
    """Return the code for a run's error, or the status with which the program ended itself, as a process has it."""
    if status is not None:
        return status & 0xFF
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
