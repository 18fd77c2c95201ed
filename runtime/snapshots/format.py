"""The format of a snapshot: the bytes around it, and what its header says. No guest and no I/O.

::

    magic 8 | format 2 | flags 2 | header's length 4 | body's length 8 | header | body | SHA-256 32 | [HMAC-SHA-256 32]

All numbers are little-endian. The SHA-256 is of everything before it and finds accidents; the HMAC, with which a
snapshot is sealed, is of everything before it and finds forgeries.
"""

import hashlib
import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, TypeGuard

from cloche.runtime.bridge.environment import EnvironmentState
from cloche.runtime.bridge.protocol import is_dict, is_list
from cloche.runtime.errors import ConfigurationError, SnapshotCorrupt, SnapshotMismatch
from cloche.runtime.limits import SessionBudget, Spent

__all__ = ["FORMAT", "KnownFacts", "SnapshotFacts", "SnapshotParts", "check_seal", "join_parts", "parse_parts"]


FORMAT = 1
"""The version of everything here and in the header."""
_MAGIC = b"\x93cloche\n"
_PREFACE = struct.Struct("<8sHHIQ")
_SEALED = 1
_HASH = 32
_MIN_KEY = 16


class SnapshotParts(NamedTuple):
    """The parts of a snapshot's bytes."""

    header: bytes
    body: bytes
    sealed: bool


def join_parts(header: bytes, body: bytes, key: bytes | None = None) -> bytes:
    """Return a snapshot's bytes, sealed if there is a key. Raises ConfigurationError for a key that is too short."""
    flags = 0 if key is None else _SEALED
    content = _PREFACE.pack(_MAGIC, FORMAT, flags, len(header), len(body)) + header + body
    content += hashlib.sha256(content).digest()
    return content if key is None else content + _seal(key, content)


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
    if type(key) is not bytes or len(key) < _MIN_KEY:
        raise ConfigurationError("key", f"a key must be at least {_MIN_KEY} random bytes: write os.urandom(32)")
    return hmac.digest(key, content, "sha256")


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
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        rows = {name: list(plain[name]) for name in ("tools", "spent", "world", "told")}
        return plain | rows | {"budget": None if self.budget is None else self.budget.as_dict()}

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
