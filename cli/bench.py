"""``cloche bench``: what isolation costs on this machine."""

import argparse

from cloche.bench.command import UsageError, add_arguments, execute
from cloche.cli.exit_codes import CommandError
from cloche.cli.flags import Commands
from cloche.cli.output import make_console

__all__ = ["add_parser", "command"]


def add_parser(commands: Commands, name: str, help: str) -> None:
    """Add the command's grammar, which is the benchmark's own."""
    about = "Measure Cloche and its peers, as far as they are installed (pip install 'cloche[bench]')."
    add_arguments(commands.add_parser(name, help=help, description=about))


def command(arguments: argparse.Namespace) -> int:
    """Measure, compare or show. Raises CommandError for what is wrong with the command line or a file."""
    console, progress = make_console(), make_console(stderr=True)
    try:
        return execute(arguments, console, progress)
    except UsageError as error:
        raise CommandError(str(error)) from None
