"""Numbers, identifiers and paths as bytes, and back. Readers take hostile bytes and raise ValueError or its like."""

import struct
from typing import TYPE_CHECKING

from .codes import (
    MAX_DECIMAL_DIGITS,
    MAX_DECIMAL_EXPONENT,
    MAX_FRACTION_BYTES,
    MAX_INT_BYTES,
    MAX_PATH_BYTES,
    ValueTooLarge,
)

# Imported where they are used: most messages hold none of them, and together they take longer than a guest to start.
if TYPE_CHECKING:
    from decimal import Decimal
    from fractions import Fraction
    from pathlib import PurePath, PurePosixPath
    from uuid import UUID

_COMPLEX = struct.Struct(">dd")
_LENGTH = struct.Struct(">H")


def fits_64_bits(value: int) -> bool:
    """Whether msgpack's own integers hold this exact int."""
    return -0x8000_0000_0000_0000 <= value <= 0xFFFF_FFFF_FFFF_FFFF


def _int_bytes(value: int, cap: int) -> bytes:
    size = value.bit_length() // 8 + 1
    if size > cap:
        raise ValueTooLarge(f"an int of {size:,} bytes (at most {cap:,})")
    return value.to_bytes(size, "big", signed=True)


def write_int(value: int) -> bytes:
    """Two's complement, big-endian, as few bytes as hold it; linear in its size, unlike decimal text."""
    return _int_bytes(value, MAX_INT_BYTES)


def read_int(data: bytes) -> int:
    """The int of `write_int`'s bytes."""
    if not 0 < len(data) <= MAX_INT_BYTES:
        raise ValueError("an int of a wrong size")
    return int.from_bytes(data, "big", signed=True)


def write_decimal(value: "Decimal") -> bytes:
    """The decimal's own exact text."""
    from decimal import Decimal

    _check_decimal(value)
    return Decimal.__str__(value).encode("ascii")


def read_decimal(data: bytes) -> "Decimal":
    """The decimal of its text, exponent and digits within the caps."""
    from decimal import Decimal

    if len(data) > MAX_DECIMAL_DIGITS + 32:
        raise ValueError("a decimal of too many digits")
    value = Decimal(data.decode("ascii"))
    _check_decimal(value)
    return value


def _check_decimal(value: "Decimal") -> None:
    from decimal import Decimal

    if Decimal.is_snan(value):  # it raises in any comparison, far from where it came in
        raise ValueError("a signalling NaN")
    _sign, digits, exponent = Decimal.as_tuple(value)
    if len(digits) > MAX_DECIMAL_DIGITS:
        raise ValueTooLarge(f"a Decimal of {len(digits):,} digits (at most {MAX_DECIMAL_DIGITS:,})")
    if isinstance(exponent, int) and abs(exponent) > MAX_DECIMAL_EXPONENT:
        raise ValueTooLarge(f"a Decimal with exponent {exponent:,} (at most {MAX_DECIMAL_EXPONENT:,})")


def write_fraction(value: "Fraction") -> bytes:
    """Length of the numerator, numerator, denominator."""
    top = _int_bytes(int.__int__(value.numerator), MAX_FRACTION_BYTES)
    return _LENGTH.pack(len(top)) + top + _int_bytes(int.__int__(value.denominator), MAX_FRACTION_BYTES)


def read_fraction(data: bytes) -> "Fraction":
    """The fraction in lowest terms; a denominator below 1 is refused."""
    from fractions import Fraction

    middle = 2 + _LENGTH.unpack_from(data)[0]
    if max(middle - 2, len(data) - middle) > MAX_FRACTION_BYTES:
        raise ValueError("a fraction of too many bytes")
    bottom = read_int(data[middle:])
    if bottom < 1:
        raise ValueError("a fraction's denominator below 1")
    return Fraction(read_int(data[2:middle]), bottom)


def write_complex(value: complex) -> bytes:
    """Real and imaginary part as doubles."""
    exact = complex.__complex__(value)
    return _COMPLEX.pack(exact.real, exact.imag)


def read_complex(data: bytes) -> complex:
    """The complex number of two doubles."""
    return complex(*_COMPLEX.unpack(data))


def write_uuid(value: "UUID") -> bytes:
    """The sixteen bytes."""
    return int.to_bytes(value.int, 16, "big")


def read_uuid(data: bytes) -> "UUID":
    """The UUID of sixteen bytes."""
    from uuid import UUID

    return UUID(bytes=data)


def write_path(value: "PurePath") -> bytes:
    """The path's text with forward slashes."""
    from pathlib import PurePath

    data = str.encode(PurePath.as_posix(value), "utf-8", "surrogatepass")
    if len(data) > MAX_PATH_BYTES:
        raise ValueTooLarge(f"a path of {len(data):,} bytes (at most {MAX_PATH_BYTES:,})")
    return data


def read_path(data: bytes) -> "PurePosixPath":
    """A pure path: it names a file of the sender's, never one of the receiver's."""
    from pathlib import PurePosixPath

    if len(data) > MAX_PATH_BYTES:
        raise ValueError("a path of too many bytes")
    return PurePosixPath(data.decode("utf-8", "surrogatepass"))
