"""What a WebAssembly module imports and exports, read from its bytes without compiling it."""

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Door", "read_door"]

_MAGIC = b"\0asm\x01\0\0\0"
_IMPORTS, _EXPORTS = 2, 7
# A number has 32 bits, in five bytes of seven.
_MAX_SHIFT = 28
_KINDS = ("function", "table", "memory", "global", "tag")


@dataclass(frozen=True, slots=True)
class Door:
    """A module's imports as ``module.name`` and its exports as ``(kind, name)``, each in the module's order."""

    imports: tuple[str, ...]
    exports: tuple[tuple[str, str], ...]


def read_door(module: bytes) -> Door:
    """Return the imports and exports. Raises ValueError if the bytes are no module, or import more than functions."""
    if not module.startswith(_MAGIC):
        raise ValueError("not a WebAssembly module")
    try:
        sections = dict(_sections(module))
        imports = tuple(_imports(_Bytes(sections.get(_IMPORTS, b"\0"))))
        exports = tuple(_exports(_Bytes(sections.get(_EXPORTS, b"\0"))))
    except IndexError:
        raise ValueError("a damaged WebAssembly module") from None
    return Door(imports, exports)


class _Bytes:
    """Reads numbers and names off the front of bytes; IndexError past their end."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        self.at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self.at

    def byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def number(self) -> int:
        """Read an unsigned LEB128 number."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > _MAX_SHIFT:
                # Without an end, each further byte would cost more than all before it.
                raise IndexError

    def take(self, length: int) -> memoryview:
        if length > self.left:
            raise IndexError
        self.at += length
        return self._data[self.at - length : self.at]

    def name(self) -> str:
        return bytes(self.take(self.number())).decode("utf-8", "replace")


def _sections(module: bytes) -> Iterator[tuple[int, memoryview]]:
    data = _Bytes(module)
    data.take(len(_MAGIC))
    while data.left:
        yield data.byte(), data.take(data.number())


def _imports(section: _Bytes) -> Iterator[str]:
    for _ in range(section.number()):
        name = f"{section.name()}.{section.name()}"
        if section.byte() != 0:
            # Cloche's guests import functions only, and a table's or memory's type would have to be parsed.
            raise ValueError(f"{name} is not a function")
        section.number()
        yield name


def _exports(section: _Bytes) -> Iterator[tuple[str, str]]:
    for _ in range(section.number()):
        name, kind = section.name(), section.byte()
        section.number()
        yield _KINDS[kind], name
