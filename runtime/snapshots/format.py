"""The format of a snapshot: the bytes around it, and what its header says. No guest and no I/O.

::

    magic 8 | format 2 | flags 2 | header's length 4 | body's length 8 | header | body | SHA-256 32 | [HMAC-SHA-256 32]

The body is the memory's delta, and after it the long pieces of a suspended program: its output, the frames of its
calls. In their places the header has tuples of their lengths, so that it stays small whatever a program has sent.

All numbers are little-endian. The SHA-256 is of everything before it and finds accidents; the HMAC, with which a
snapshot is sealed, is of everything before it and finds forgeries.
"""

import hashlib
import hmac
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeGuard

from cloche.runtime.bridge.environment import EnvironmentState
from cloche.runtime.bridge.protocol import is_dict, is_list
from cloche.runtime.dataclass import dataclass
from cloche.runtime.errors import ConfigurationError, SnapshotCorrupt, SnapshotMismatch
from cloche.runtime.limits import SessionBudget, Spent

__all__ = [
    "FORMAT",
    "KnownFacts",
    "SnapshotFacts",
    "SnapshotParts",
    "check_seal",
    "join_parts",
    "parse_parts",
    "put_pieces_back",
    "set_pieces_apart",
]


FORMAT = 2
"""The version of everything here and in the header."""
_MAGIC = b"\x93cloche\n"
_PREFACE = struct.Struct("<8sHHIQ")
_SEALED = 1
_HASH = 32
_MIN_KEY = 16
# Bytes of a header: the names of some ten thousand tools, and a row for each of as many calls.
_MAX_HEADER = 4 << 20
# Bytes up to which a piece stays in the header.
_SHORT = 64


class SnapshotParts(NamedTuple):
    """The parts of a snapshot's bytes."""

    header: bytes
    body: bytes
    sealed: bool


def join_parts(header: bytes, body: bytes, key: bytes | None = None, pieces: Sequence[bytes] = ()) -> bytes:
    """Return a snapshot's bytes, sealed if there is a key; ``pieces`` are added to the body.

    Raises ConfigurationError for a key that is too short, or a header that is too large.
    """
    if len(header) > _MAX_HEADER:
        raise ConfigurationError("tools", f"their names take more than the {_MAX_HEADER} bytes of a snapshot's header")
    flags, size = (0 if key is None else _SEALED), len(body) + sum(map(len, pieces))
    # Joined once at the end: a body may have hundreds of megabytes.
    parts = [_PREFACE.pack(_MAGIC, FORMAT, flags, len(header), size), header, body, *pieces]
    parts.append(_digest(hashlib.sha256(), parts))
    if key is not None:
        parts.append(_seal(key, parts))
    return b"".join(parts)


def set_pieces_apart(value: Any, pieces: list[bytes]) -> Any:
    """Return plain values with tuples of lengths in place of long bytes, which are added to ``pieces``."""
    if type(value) is bytes and len(value) > _SHORT:
        pieces.append(value)
        return (len(value),)
    if is_dict(value):
        return {key: set_pieces_apart(each, pieces) for key, each in value.items()}
    return [set_pieces_apart(each, pieces) for each in value] if is_list(value) else value


def put_pieces_back(value: Any, body: bytes) -> tuple[Any, bytes]:
    """Undo :func:`set_pieces_apart`: return the values with the pieces from the end of the body, and the rest of it.

    Raises ValueError for pieces that are not there.
    """
    lengths: list[int] = []
    _note_lengths(value, lengths)
    at = len(body) - sum(lengths)
    if at < 0:
        raise ValueError("its pieces are not there")
    pieces = iter(_cut(body, at, lengths))
    return (_put_back(value, pieces), body[:at]) if lengths else (value, body)


def _is_piece(value: object) -> TypeGuard[tuple[Any, ...]]:
    return type(value) is tuple


def _note_lengths(value: Any, lengths: list[int]) -> None:
    if _is_piece(value):
        (length,) = value
        if not _is_count(length):
            raise ValueError("a piece without a length")
        lengths.append(length)
    elif is_dict(value) or is_list(value):
        for each in value.values() if is_dict(value) else value:
            _note_lengths(each, lengths)


def _cut(body: bytes, at: int, lengths: list[int]) -> Iterator[bytes]:
    for length in lengths:
        yield body[at : at + length]
        at += length


def _put_back(value: Any, pieces: Iterator[bytes]) -> Any:
    if type(value) is tuple:
        return next(pieces)
    if is_dict(value):
        return {key: _put_back(each, pieces) for key, each in value.items()}
    return [_put_back(each, pieces) for each in value] if is_list(value) else value


def parse_parts(data: bytes) -> SnapshotParts:
    """Return the parts. Raises SnapshotCorrupt, or SnapshotMismatch for another format; the seal is not looked at."""
    flags, header_size, body_size = _preface(data)
    start = _PREFACE.size
    end = start + header_size + body_size
    sealed = bool(flags & _SEALED)
    _check_length(len(data), end + (2 * _HASH if sealed else _HASH))
    if hashlib.sha256(memoryview(data)[:end]).digest() != data[end : end + _HASH]:
        raise SnapshotCorrupt("it was edited or damaged: its checksum does not fit")
    return SnapshotParts(data[start : start + header_size], data[start + header_size : end], sealed)


def check_seal(data: bytes, sealed: bool, key: bytes | None) -> None:
    """Raise SnapshotMismatch unless the bytes are sealed with this key, or are not sealed and there is none."""
    if key is not None and not sealed:
        raise SnapshotMismatch("key", "no seal", "one made with the given key")
    if key is None and sealed:
        raise SnapshotMismatch("key", "a seal", "the key that it was sealed with")
    if key is not None and not hmac.compare_digest(_seal(key, [memoryview(data)[:-_HASH]]), data[-_HASH:]):
        raise SnapshotMismatch("key", "a seal made with another key, or an edited one", "one made with the given key")


def _preface(data: bytes) -> tuple[int, int, int]:
    if data[: len(_MAGIC)] != _MAGIC[: len(data)] or not data:
        raise SnapshotCorrupt("it is not a snapshot: it does not begin like one")
    if len(data) < _PREFACE.size:
        raise SnapshotCorrupt(f"it was cut off: {len(data)} bytes are not even its preface")
    _, version, flags, header_size, body_size = _PREFACE.unpack_from(data)
    if version != FORMAT:
        raise SnapshotMismatch("format", f"version {version}", f"version {FORMAT}")
    if header_size > _MAX_HEADER:
        raise SnapshotCorrupt(f"it was made by something else: its header is larger than {_MAX_HEADER} bytes")
    if flags not in (0, _SEALED):
        raise SnapshotCorrupt("it was edited or damaged: its flags are unknown")
    return flags, header_size, body_size


def _check_length(actual: int, stated: int) -> None:
    if actual < stated:
        raise SnapshotCorrupt(f"it was cut off: {actual} of its {stated} bytes are here")
    if actual > stated:
        raise SnapshotCorrupt(f"it was edited or damaged: {actual - stated} bytes follow its {stated}")


def _seal(key: bytes, content: Sequence[bytes | memoryview]) -> bytes:
    if type(key) is not bytes or len(key) < _MIN_KEY:
        raise ConfigurationError("key", f"a key must be at least {_MIN_KEY} random bytes: write os.urandom(32)")
    return _digest(hmac.new(key, digestmod="sha256"), content)


class _Digest(Protocol):
    """What hashlib and hmac give alike."""

    def update(self, data: bytes | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


def _digest(digest: "_Digest", content: Sequence[bytes | memoryview]) -> bytes:
    for part in content:
        digest.update(part)
    return digest.digest()


class KnownFacts(NamedTuple):
    """What the guest's interpreter knows: its caps, and the SHA-256 of its tools' specifications."""

    caps: dict[str, int] | None
    tools: str | None


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """The header of a snapshot.

    ``image`` is the SHA-256 of the guest image and ``abi`` the bridge's version; ``size`` the bytes of linear memory
    and ``stack_pointer`` the guest's own; ``tools`` the names of the session's tools, sorted; ``spent`` what it has
    used so far and ``budget`` what it may use in all its runs; ``world`` its clock and source of random bytes;
    ``told`` what its interpreter knows; ``tenant`` whose it is, or None; ``suspension`` is None, or what else it takes
    to resume a program that waits for tool calls, of values that can cross the bridge.
    """

    image: str
    abi: int
    size: int
    stack_pointer: int
    tools: tuple[str, ...]
    spent: Spent
    budget: SessionBudget | None
    world: EnvironmentState
    told: KnownFacts
    tenant: str | None = None
    suspension: dict[str, Any] | None = None

    def as_plain(self) -> dict[str, Any]:
        """Return the facts as a dict of what the codec of values can encode."""
        plain = {name: getattr(self, name) for name in self.__match_args__}
        rows = {name: list(plain[name]) for name in ("tools", "spent", "world", "told")}
        return plain | rows | {"budget": None if self.budget is None else self.budget.as_dict()}

    def with_suspension(self, suspension: dict[str, Any] | None) -> "SnapshotFacts":
        """Return the facts with another suspension."""
        # Not by ``dataclasses.replace``, for which the class would first be made anew as one of theirs.
        fields: dict[str, Any] = {name: getattr(self, name) for name in self.__match_args__}
        fields["suspension"] = suspension
        return SnapshotFacts(**fields)

    @classmethod
    def from_plain(cls, plain: object) -> "SnapshotFacts":
        """Return the facts. Raises ValueError for anything that :meth:`as_plain` would not have made."""
        if not is_dict(plain) or plain.keys() != _CHECKS.keys():
            raise ValueError("its header does not have the fields of a snapshot")
        for name, fits in _CHECKS.items():
            if not fits(plain[name]):
                raise ValueError(f"its header's field {name!r} has another type")
        return cls(**plain | {name: make(plain[name]) for name, make in _MAKERS.items()})


def _is_count(value: Any) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < 1 << 63


def _is_text(value: Any) -> TypeGuard[str]:
    return type(value) is str


def _is_optional(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


def _is_names(value: Any) -> bool:
    return is_list(value) and all(map(_is_text, value))


def _is_spent(value: Any) -> bool:
    match value:
        case [runs, fuel, float(time), output, calls]:
            return all(map(_is_count, (runs, fuel, output, calls))) and time >= 0
        case _:
            return False


def _is_world(value: Any) -> bool:
    match value:
        case [None | bytes(), drawn, clock, rate, monotonic]:
            return (clock is None or _is_count(clock)) and all(map(_is_count, (drawn, rate, monotonic)))
        case _:
            return False


def _is_told(value: Any) -> bool:
    match value:
        case [caps, None | str()]:
            return caps is None or (is_dict(caps) and all(map(_is_text, caps)) and all(map(_is_count, caps.values())))
        case _:
            return False


def _is_budget(value: Any) -> bool:
    try:
        return is_dict(value) and bool(SessionBudget(**value).as_dict() == value)
    except (TypeError, ValueError):
        return False


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "image": _is_text,
    "abi": _is_count,
    "size": _is_count,
    "stack_pointer": _is_count,
    "tools": _is_names,
    "spent": _is_spent,
    "budget": _is_optional(_is_budget),
    "world": _is_world,
    "told": _is_told,
    "tenant": _is_optional(_is_text),
    "suspension": _is_optional(is_dict),
}
_MAKERS: dict[str, Callable[[Any], Any]] = {
    "tools": tuple,
    "spent": lambda row: Spent(*row),
    "budget": lambda bounds: None if bounds is None else SessionBudget(**bounds),
    "world": lambda row: EnvironmentState(*row),
    "told": lambda row: KnownFacts(*row),
}
