"""``cloche bench``: what isolation costs on this machine."""

import argparse

from cloche.cli.exit_codes import CommandError
from cloche.cli.output import make_console

__all__ = ["command"]


def command(arguments: argparse.Namespace) -> int:
    """Measure, compare or show. Raises Complaint for what is wrong with the command line or a file."""
    console, progress = make_console(), make_console(stderr=True)
    from cloche.bench.command import UsageError, execute

    try:
        return execute(arguments, console, progress)
    except UsageError as error:
        raise CommandError(str(error)) from None
