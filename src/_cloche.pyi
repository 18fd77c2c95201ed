"""The built-in module through which the guest's Python reaches the host."""

from collections.abc import Callable

def call(frame: bytes, /) -> bytes:
    """Send one call frame to the host and return its answer."""

def write(stream: int, data: bytes, /) -> None:
    """Hand a piece of output to the host: stream 1 is stdout, 2 is stderr."""

def set_step(step: Callable[[bytes], bytes], /) -> None:
    """Make ``step`` the function that answers every request."""

def fs_limits(files: int, size: int, /) -> None:
    """Cap the files, and their bytes, that may be added to what the image holds."""
