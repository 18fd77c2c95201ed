"""The codec's errors, the extension codes of the wire format, and the caps that both ends share.

A value of a *leaf* code is one extension holding its data. A value of a *mark* code is a msgpack array whose first
item is that empty extension: `[TUPLE, 1, 2]`. So every container of Python is one (or two) of msgpack's, no payload is
nested inside another, and one pass of the C parser sees the true depth.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final


class ValueCodecError(Exception):
    """The root of this package's errors."""


class UnserializableError(ValueCodecError, TypeError):
    """A value cannot cross: its type is not one that crosses, or it is cyclic or nested too deep.

    `path` says where (`result['rows'][3]`), `type_name` what was found there; either may be "" when unknown.
    """

    def __init__(self, message: str, *, path: str = "", type_name: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.type_name = type_name


class ValueTooLarge(ValueCodecError, ValueError):
    """A value is larger than the sender may send. `path` says where, "" when unknown."""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class SizeExceeded(ValueTooLarge):
    """The value as a whole is too large, so there is no place in it to point at. Not exported: a ValueTooLarge."""


class MalformedValue(ValueCodecError, ValueError):
    """The bytes received are not a value that this codec writes, or decode to more than the receiver allows."""


Look = Callable[[], object]
"""Called between two pieces of work on a message; ends it by raising what is no Exception."""

_msgpack: Any = import_module("msgpack")

Packer: Final[Callable[..., Any]] = _msgpack.Packer
Unpacker: Final[Callable[..., Any]] = _msgpack.Unpacker
unpackb: Final[Callable[..., Any]] = _msgpack.unpackb
ExtType: Final[Any] = _msgpack.ExtType
Timestamp: Final[Any] = _msgpack.Timestamp
StackError: Final[type[Exception]] = _msgpack.StackError


INT: Final = 1
DECIMAL: Final = 2
FRACTION: Final = 3
COMPLEX: Final = 4
DATETIME: Final = 5
DATE: Final = 6
TIME: Final = 7
TIMEDELTA: Final = 8
UUID: Final = 9
PATH: Final = 10
ARRAY: Final = 11
NUMBER: Final = 12
"""A numpy scalar."""
ZONE: Final = 13
"""A time zone alone."""
BYTEARRAY: Final = 14
TYPED_ARRAY: Final = 15
"""An `array.array`."""

TUPLE: Final = 32
SET: Final = 33
FROZENSET: Final = 34
RECORD: Final = 35
"""`[RECORD, type name, {field: value}]`"""
EXCEPTION: Final = 36
"""`[EXCEPTION, type name, message]`"""
NAMED_TUPLE: Final = 37
"""`[NAMED_TUPLE, type name, "field names with spaces between", *values]`"""
MAPPING: Final = 38
"""`[MAPPING, kind, {key: value}]`: a dict of another class, see `containers`"""
DEQUE: Final = 39
"""`[DEQUE, maxlen, *items]`"""
GROUP: Final = 40
"""`[GROUP, type name, message, *exceptions]`"""

FRAME: Final = 41
"""`[FRAME, kind, *parts]`: what pandas has, by columns; and arrays of numpy that are not of numbers. See `frames`"""

_CODES: Final = (TUPLE, SET, FROZENSET, RECORD, EXCEPTION, NAMED_TUPLE, MAPPING, DEQUE, GROUP, FRAME)
MARKS: Final = {code: ExtType(code, b"") for code in _CODES}

MAX_DEPTH: Final = 200
"""Containers on the wire inside one another. Low enough for `repr`, `copy.deepcopy` and `json` on the receiver."""

MAX_INT_BYTES: Final = 1 << 20
"""The largest int: about 2.5 million decimal digits."""

MAX_DECIMAL_DIGITS: Final = 20_000
"""Digits of a Decimal's coefficient: turning them into an int is quadratic in C."""

MAX_DECIMAL_EXPONENT: Final = 999_999
"""The exponent range of decimal's default context. `int(Decimal("1E+999999999"))` would need 400 MB."""

MAX_FRACTION_BYTES: Final = 2048
"""Numerator and denominator each, 4,900 digits: building a Fraction runs a quadratic gcd."""

MAX_PATH_BYTES: Final = 1 << 16
MAX_MESSAGE: Final = 1 << 16
"""Characters of an exception's message; a longer one is cut."""
