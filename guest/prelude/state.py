"""What runs write to again and again, in one object: made when the image is at rest, where the runs' own objects lie.

A guest gets a page of its own for each page it writes to: these would cost it several if each lay in its own module.
"""

from types import CodeType
from typing import Any

__all__ = ["State", "current", "renew"]


class State:
    """The prelude's variables. ``programs`` has recent programs by text, ``sources`` the texts by file name."""

    __slots__ = ("chosen_numbers", "chosen_numpy", "fresh", "last_source", "latest", "programs", "shown", "sources")

    def __init__(self) -> None:
        self.fresh = True
        """Whether no request has come yet: the first one draws new random numbers."""
        self.last_source: str | None = None
        """The program after which no other follows, once it was run."""
        self.chosen_numbers = False
        """Whether the program seeded the ``random`` module itself."""
        self.chosen_numpy = False
        """The same of numpy's global generator."""
        self.latest = ""
        """The file name of the latest program."""
        self.shown: list[list[Any]] = []
        """Displays of the run in progress: their kind, and their formats."""
        self.programs: dict[str, tuple[str, CodeType]] = {}
        self.sources: dict[str, str] = {}


current = State()
"""Always looked up in this module, as the image's is replaced."""


def renew() -> None:
    """Begin anew, in an object that lies where the next objects will."""
    global current
    current = State()
