"""rich, or how to get it."""

import importlib.util
from typing import TYPE_CHECKING

from cloche.cli.complaint import Complaint

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["make_console"]


def make_console(*, stderr: bool = False) -> "Console":
    """Return a console on stdout or stderr that interprets no markup, emoji or highlighting in what it is given.

    Raises Complaint, saying what to install, if rich is missing.
    """
    if importlib.util.find_spec("rich") is None:
        raise Complaint("this command needs rich: pip install 'cloche[cli]'  (run and info work without it)")
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)
