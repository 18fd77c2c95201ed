"""numpy arrays and scalars as raw little-endian bytes, and back; without numpy, as nested lists.

numpy is never imported here: it is used only when the program already has it.
"""

import math
import struct
import sys
from collections.abc import Sequence
from typing import Any, Final

from .codes import UnserializableError, ValueTooLarge

_DTYPES: Final = {
    "|b1": "?", "|i1": "b", "|u1": "B", "<i2": "h", "<u2": "H", "<i4": "i", "<u4": "I",
    "<i8": "q", "<u8": "Q", "<f2": "e", "<f4": "f", "<f8": "d", "<c8": "ff", "<c16": "dd",
}  # fmt: skip
"""The element types that cross, as numpy names them, with struct's name for each; their order is the wire code."""

_NAMES: Final = tuple(_DTYPES)
_SIZES: Final = {name: struct.calcsize("<" + code) for name, code in _DTYPES.items()}
_HEADER = struct.Struct("<BB")
_MAX_DIMENSIONS: Final = 32
_MAX_EMPTY_ROWS: Final = 1 << 16
"""An array of shape (10**9, 0) has no data, and a billion rows."""


def loaded() -> Any:
    """The numpy module if the program has imported it, else None."""
    numpy = sys.modules.get("numpy")
    return numpy if hasattr(numpy, "ndarray") and hasattr(numpy, "generic") else None


def write_array(array: Any) -> bytes:
    """Element type, shape, and the elements in C order."""
    name = _element_type(array.dtype)
    shape = tuple(array.shape)
    check_shape(shape)
    header = _HEADER.pack(_NAMES.index(name), len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
    return header + bytes(array.astype(name, copy=False).tobytes())


def write_number(number: Any) -> bytes:
    """Element type and the one element."""
    name = _element_type(number.dtype)
    return bytes([_NAMES.index(name)]) + bytes(number.astype(name).tobytes())


def _element_type(dtype: Any) -> str:
    name = str(dtype.newbyteorder("<").str)
    if name not in _DTYPES:
        raise UnserializableError(f"cannot send numpy elements of type {dtype!s}: only bools and numbers cross")
    return name


def read_number(data: bytes) -> Any:
    """A numpy scalar, or the Python number it stands for where numpy is not loaded."""
    name = _NAMES[data[0]]
    value = _elements(name, data[1:], 1)[0]
    numpy = loaded()
    return value if numpy is None else numpy.dtype(name).type(value)


def read_array(data: bytes) -> Any:
    """A new writable numpy array. numpy must be loaded."""
    name, shape, start = _read_header(data)
    numpy = loaded()
    if name == "|b1":  # a bool's byte may be anything here; numpy expects 0 or 1
        return numpy.frombuffer(data, "|u1", offset=start).astype(bool).reshape(shape)
    return numpy.frombuffer(data, name, offset=start).reshape(shape).copy()


def read_lists(data: bytes) -> Any:
    """The array as nested lists of Python numbers; one number for an array of no dimensions."""
    name, shape, start = _read_header(data)
    elements = _elements(name, data[start:], math.prod(shape))
    return _nested(elements, shape) if shape else elements[0]


def cost_of_lists(data: bytes) -> int:
    """The bytes of memory that `read_lists` would need, at most."""
    _name, shape, _start = _read_header(data)
    rows = sum(math.prod(shape[:depth]) for depth in range(len(shape)))
    return 80 * rows + 64 * math.prod(shape)


def _read_header(data: bytes) -> tuple[str, tuple[int, ...], int]:
    header: tuple[int, int] = _HEADER.unpack_from(data)
    code, dimensions = header
    start = _HEADER.size + 8 * dimensions
    name = _NAMES[code]
    shape = struct.unpack(f"<{dimensions}Q", data[_HEADER.size : start])
    check_shape(shape)
    if math.prod(shape) * _SIZES[name] != len(data) - start:
        raise ValueError("an array whose shape and data disagree")
    return name, shape, start


def check_shape(shape: tuple[int, ...]) -> None:
    """Raise ValueTooLarge for more dimensions than numpy has, and for many rows without elements."""
    if len(shape) > _MAX_DIMENSIONS:
        raise ValueTooLarge(f"an array of {len(shape)} dimensions (at most {_MAX_DIMENSIONS})")
    if 0 in shape and math.prod(size for size in shape if size) > _MAX_EMPTY_ROWS:
        raise ValueTooLarge(f"an array without elements of more than {_MAX_EMPTY_ROWS:,} rows")


def _elements(name: str, data: bytes, count: int) -> Sequence[Any]:
    code = _DTYPES[name]
    if len(code) == 1:
        return struct.unpack(f"<{count}{code}", data)
    parts = struct.unpack(f"<{2 * count}{code[0]}", data)
    return [complex(real, imag) for real, imag in zip(parts[::2], parts[1::2], strict=True)]


def _nested(elements: Sequence[Any], shape: tuple[int, ...]) -> list[Any]:
    """Cut the flat elements into rows, the innermost dimension first."""
    rows: list[Any] = list(elements)
    for depth in range(len(shape) - 1, 0, -1):
        width, count = shape[depth], math.prod(shape[:depth])
        rows = [rows[index * width : (index + 1) * width] for index in range(count)]
    return rows
