"""What runs write to again and again, in one object: made when the image is at rest, where the runs' own objects lie.

A guest gets a page of its own for each page it writes to: these would cost it several if each lay in its own module.

And the caps that the guest applies to itself, so that a too large value is refused before it is copied. The host
applies them again: nothing here is trusted.
"""

from collections.abc import Mapping
from types import CodeType
from typing import Any

import _cloche

__all__ = ["CAPS", "Caps", "State", "apply_caps", "current", "renew"]


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


class Caps:
    """``argument`` and ``result`` in encoded bytes (None: no cap), ``displays`` too (0: none are made), ``message`` and
    ``traceback`` in characters."""

    __slots__ = ("argument", "displays", "message", "result", "traceback")

    def __init__(self) -> None:
        self.argument: int | None = None
        self.result: int | None = None
        self.displays = 8 << 20
        self.message = 16_384
        self.traceback = 65_536


CAPS = Caps()


def apply_caps(caps: Mapping[str, int]) -> None:
    """Take over the host's caps; a name that is absent keeps its present cap.

    ``files`` and ``bytes`` go to the memory file system, and only when both are there.
    """
    for name in Caps.__slots__:
        # Not written if it is equal: it lies on a page that the guest would get to itself.
        if name in caps and caps[name] != getattr(CAPS, name):
            setattr(CAPS, name, caps[name])
    if "files" in caps and "bytes" in caps:
        _cloche.fs_limits(caps["files"], caps["bytes"])
