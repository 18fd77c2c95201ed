"""The caps the guest applies to itself, so that a too large value is refused before it is copied.

The host applies them again: nothing here is trusted.
"""

from collections.abc import Mapping

import _cloche

__all__ = ["CAPS", "Caps", "apply"]


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


def apply(caps: Mapping[str, int]) -> None:
    """Take over the host's caps; a name that is absent keeps its present cap.

    ``files`` and ``bytes`` go to the memory file system, and only when both are there.
    """
    for name in Caps.__slots__:
        # Not written if it is equal: it lies on a page that the guest would get to itself.
        if name in caps and caps[name] != getattr(CAPS, name):
            setattr(CAPS, name, caps[name])
    if "files" in caps and "bytes" in caps:
        _cloche.fs_limits(caps["files"], caps["bytes"])
