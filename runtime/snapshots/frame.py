"""The bytes around a snapshot: what makes it recognisable, whole, and its maker's own. No guest and no I/O.

::

    magic 8 | format 2 | flags 2 | header's length 4 | body's length 8 | header | body | SHA-256 32 | [HMAC-SHA-256 32]

All numbers are little-endian. The SHA-256 is of everything before it and finds accidents; the HMAC, with which a
snapshot is sealed, is of everything before it and finds forgeries.
"""

import hashlib
import hmac
import struct
from typing import NamedTuple

from cloche.runtime.errors import ConfigurationError, SnapshotCorrupt, SnapshotMismatch

__all__ = ["FORMAT", "Frame", "check_seal", "frame", "parse"]

FORMAT = 1
"""The version of everything here and in the header."""
_MAGIC = b"\x93cloche\n"
_PREFACE = struct.Struct("<8sHHIQ")
_SEALED = 1
_HASH = 32
_SHORTEST_KEY = 16


class Frame(NamedTuple):
    """The parts of a snapshot's bytes."""

    header: bytes
    body: bytes
    sealed: bool


def frame(header: bytes, body: bytes, key: bytes | None = None) -> bytes:
    """Return a snapshot's bytes, sealed if there is a key. Raises ConfigurationError for a key that is too short."""
    flags = 0 if key is None else _SEALED
    content = _PREFACE.pack(_MAGIC, FORMAT, flags, len(header), len(body)) + header + body
    content += hashlib.sha256(content).digest()
    return content if key is None else content + _seal(key, content)


def parse(data: bytes) -> Frame:
    """Return the parts. Raises SnapshotCorrupt, or SnapshotMismatch for another format; the seal is not looked at."""
    flags, header_size, body_size = _preface(data)
    start = _PREFACE.size
    end = start + header_size + body_size
    sealed = bool(flags & _SEALED)
    _check_length(len(data), end + (2 * _HASH if sealed else _HASH))
    if hashlib.sha256(data[:end]).digest() != data[end : end + _HASH]:
        raise SnapshotCorrupt("it was edited or damaged: its checksum does not fit")
    return Frame(data[start : start + header_size], data[start + header_size : end], sealed)


def check_seal(data: bytes, sealed: bool, key: bytes | None) -> None:
    """Raise SnapshotMismatch unless the bytes are sealed with this key, or are not sealed and there is none."""
    if key is not None and not sealed:
        raise SnapshotMismatch("key", "no seal", "one made with the given key")
    if key is None and sealed:
        raise SnapshotMismatch("key", "a seal", "the key that it was sealed with")
    if key is not None and not hmac.compare_digest(_seal(key, data[:-_HASH]), data[-_HASH:]):
        raise SnapshotMismatch("key", "a seal made with another key, or an edited one", "one made with the given key")


def _preface(data: bytes) -> tuple[int, int, int]:
    if data[: len(_MAGIC)] != _MAGIC[: len(data)] or not data:
        raise SnapshotCorrupt("it is not a snapshot: it does not begin like one")
    if len(data) < _PREFACE.size:
        raise SnapshotCorrupt(f"it was cut off: {len(data)} bytes are not even its preface")
    _, version, flags, header_size, body_size = _PREFACE.unpack_from(data)
    if version != FORMAT:
        raise SnapshotMismatch("format", f"version {version}", f"version {FORMAT}")
    if flags not in (0, _SEALED):
        raise SnapshotCorrupt("it was edited or damaged: its flags are unknown")
    return flags, header_size, body_size


def _check_length(actual: int, stated: int) -> None:
    if actual < stated:
        raise SnapshotCorrupt(f"it was cut off: {actual} of its {stated} bytes are here")
    if actual > stated:
        raise SnapshotCorrupt(f"it was edited or damaged: {actual - stated} bytes follow its {stated}")


def _seal(key: bytes, content: bytes) -> bytes:
    if type(key) is not bytes or len(key) < _SHORTEST_KEY:
        raise ConfigurationError("key", f"a key is at least {_SHORTEST_KEY} random bytes, such as os.urandom(32)")
    return hmac.digest(key, content, "sha256")
