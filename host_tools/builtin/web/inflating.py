"""Compressed bodies, unpacked without believing how small they will stay."""

import zlib
from typing import Protocol

from cloche.host_tools.builtin.web.errors import WebError

__all__ = ["ACCEPTED", "inflater"]

ACCEPTED = "gzip, deflate"
"""For the Accept-Encoding header: what :func:`inflater` understands."""


class Inflater(Protocol):
    """Unpacks a body piece by piece."""

    def unpack(self, piece: bytes, most: int) -> bytes:
        """Return the next bytes, at most ``most`` of them. Raises WebError for damaged data."""
        ...


def inflater(encoding: str) -> Inflater:
    """Return what unpacks a Content-Encoding. Raises WebError for an unknown one."""
    match encoding.strip().lower():
        case "" | "identity":
            return _Plain()
        case "gzip" | "x-gzip":
            return _Deflated(31)
        case "deflate":
            return _Deflated(zlib.MAX_WBITS)
        case _:
            raise WebError(f"the server answered in an encoding that was not asked for: {encoding[:40]!r}")


class _Plain:
    def unpack(self, piece: bytes, most: int) -> bytes:
        return piece[:most]


class _Deflated:
    """One piece of 64 KiB can unpack to 64 MiB, so each is given a limit rather than checked afterwards."""

    def __init__(self, window: int) -> None:
        self._decompressor = zlib.decompressobj(window)

    def unpack(self, piece: bytes, most: int) -> bytes:
        try:
            # 0 would mean without limit.
            return self._decompressor.decompress(piece, max(most, 1))
        except zlib.error:
            raise WebError("the server's answer is damaged: it cannot be decompressed") from None
