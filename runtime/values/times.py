"""Dates, times and durations as bytes, and back.

A time zone travels as its UTC offset and, for a ZoneInfo, its key. A receiver that has no data for the key keeps the
instant: the offset becomes a fixed zone that carries the key as its name.
"""

import re
import struct
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Final

_DATETIME = struct.Struct(">HBBBBBIB")
_DATE = struct.Struct(">HBB")
_TIME = struct.Struct(">BBBIB")
_TIMEDELTA = struct.Struct(">iii")
_OFFSET = struct.Struct(">q")

_NAIVE: Final = b""
_FIXED: Final = b"f"
_ZONE: Final = b"z"
_ZONE_WITHOUT_OFFSET: Final = b"k"
"""A bare time of day in a ZoneInfo has no offset."""

_KEY = re.compile(r"[A-Za-z0-9_+-]{1,32}(?:/[A-Za-z0-9_+-]{1,32}){0,3}")
"""zoneinfo opens a file named by the key, so only plain names reach it."""

_MICROSECOND = timedelta(microseconds=1)


def write_datetime(value: datetime) -> bytes:
    """Fields and fold, then the zone."""
    fields = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond, value.fold)
    return _DATETIME.pack(*fields) + _write_zone(value.tzinfo, datetime.utcoffset(value))


def read_datetime(data: bytes) -> datetime:
    """The datetime of `write_datetime`'s bytes."""
    year, month, day, hour, minute, second, microsecond, fold = _DATETIME.unpack_from(data)
    zone = _read_zone(data[_DATETIME.size :])
    return datetime(year, month, day, hour, minute, second, microsecond, zone, fold=fold)


def write_date(value: date) -> bytes:
    """Year, month, day."""
    return _DATE.pack(value.year, value.month, value.day)


def read_date(data: bytes) -> date:
    """The date of year, month, day."""
    return date(*_DATE.unpack(data))


def write_time(value: time) -> bytes:
    """Fields and fold, then the zone."""
    fields = (value.hour, value.minute, value.second, value.microsecond, value.fold)
    return _TIME.pack(*fields) + _write_zone(value.tzinfo, time.utcoffset(value))


def read_time(data: bytes) -> time:
    """The time of `write_time`'s bytes."""
    hour, minute, second, microsecond, fold = _TIME.unpack_from(data)
    return time(hour, minute, second, microsecond, _read_zone(data[_TIME.size :]), fold=fold)


def write_timedelta(value: timedelta) -> bytes:
    """Days, seconds, microseconds."""
    return _TIMEDELTA.pack(value.days, value.seconds, value.microseconds)


def read_timedelta(data: bytes) -> timedelta:
    """The duration of days, seconds, microseconds."""
    days, seconds, microseconds = _TIMEDELTA.unpack(data)
    return timedelta(days, seconds, microseconds)


class UnknownZone(tzinfo):
    """A time zone alone of which this machine has no data: it has its ``key`` and goes back to where it came from.

    Asking it for an offset raises LookupError.
    """

    def __init__(self, key: str) -> None:
        self.key = key

    def utcoffset(self, dt: datetime | None, /) -> timedelta | None:
        """Raise LookupError."""
        raise LookupError(f"this machine has no data for the time zone {self.key!r}: the package tzdata has")

    dst = utcoffset

    def tzname(self, dt: datetime | None, /) -> str:
        """The key."""
        return self.key

    def __str__(self) -> str:
        return self.key

    def __repr__(self) -> str:
        return f"UnknownZone({self.key!r})"

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return type(self), (self.key,)


def write_key(zone: tzinfo) -> bytes:
    """The key of a ZoneInfo, or of one that stands for it. ValueError if it has none."""
    key = _key_of(zone)
    if not key:
        raise ValueError("a time zone without a key")
    return _ZONE_WITHOUT_OFFSET + str.encode(key)


def write_zone(value: timezone) -> bytes:
    """The offset, and the name if it has one of its own."""
    return _write_zone(value, timezone.utcoffset(value, None))


def read_zone(data: bytes) -> tzinfo:
    """The time zone of a fixed offset or a key."""
    if data[:1] == _ZONE_WITHOUT_OFFSET:
        key = data[1:].decode("ascii")
        return _zone_info(key) or UnknownZone(key)
    if data[:1] != _FIXED:
        raise ValueError("a time zone of no fixed offset")
    return _fixed(_OFFSET.unpack_from(data, 1)[0], data[1 + _OFFSET.size :].decode())


def _write_zone(zone: tzinfo | None, offset: timedelta | None) -> bytes:
    if zone is None:
        return _NAIVE
    key = _key_of(zone)
    if offset is None:
        return _ZONE_WITHOUT_OFFSET + str.encode(key) if key else _NAIVE
    name = key or _fixed_name(zone, offset)
    return (_ZONE if key else _FIXED) + _OFFSET.pack(offset // _MICROSECOND) + str.encode(name)


def _key_of(zone: tzinfo) -> str:
    key = getattr(zone, "key", None)
    return key if type(key) is str and _KEY.fullmatch(key) else ""


def _fixed_name(zone: tzinfo, offset: timedelta) -> str:
    """The name given to a `timezone`, "" when it only has the one its offset implies."""
    if type(zone) is not timezone:
        return ""
    name = zone.tzname(None)
    return name if name != timezone(offset).tzname(None) and len(name) <= 64 else ""


def _read_zone(data: bytes) -> tzinfo | None:
    kind, rest = data[:1], data[1:]
    if kind == _NAIVE:
        return None
    if kind == _ZONE_WITHOUT_OFFSET:
        return _zone_info(rest.decode("ascii")) or UTC
    if kind not in (_FIXED, _ZONE):
        raise ValueError("a time zone of no known kind")
    name = rest[_OFFSET.size :].decode()
    return (_zone_info(name) if kind == _ZONE else None) or _fixed(_OFFSET.unpack_from(rest)[0], name)


def _fixed(microseconds: int, name: str) -> timezone:
    if len(name) > 64:
        raise ValueError("a time zone's name of too many characters")
    offset = timedelta(microseconds=microseconds)
    if name:
        return timezone(offset, name)
    return timezone(offset) if offset else UTC


def _zone_info(key: str) -> tzinfo | None:
    """The ZoneInfo of that key, None where this machine has no data for it."""
    if not _KEY.fullmatch(key):
        raise ValueError("a time zone's key that is not a plain name")
    from zoneinfo import ZoneInfo  # rarely needed, and slow to import

    try:
        return ZoneInfo(key)
    except (LookupError, OSError, ValueError, ImportError):
        return None
