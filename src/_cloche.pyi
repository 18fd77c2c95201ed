"""The built-in module through which the guest's Python reaches the host."""

from collections.abc import Callable
from types import FrameType

def call(frame: bytes, /) -> bytes:
    """Send one call frame to the host and return its answer."""

def write(stream: int, data: bytes, /) -> None:
    """Hand a piece of output to the host: stream 1 is stdout, 2 is stderr."""

def set_step(step: Callable[[bytes], bytes], /) -> None:
    """Make ``step`` the function that answers every request."""

def fs_limits(files: int, size: int, /) -> None:
    """Cap the files, and their bytes, that may be added to what the image holds."""

def suspend(response: bytes, /) -> bytes | None:
    """Answer the host's request with ``response``, and return its next one.

    Everything stays as it is until then. None at once where C code is on the stack: see :func:`blocked_at`.
    """

def blocked_at() -> FrameType | None:
    """Return the frame that called the C code because of which :func:`suspend` returned None."""
