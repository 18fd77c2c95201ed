"""Reading and rewriting a wasm binary, as far as baking needs: sections, one memory, one data segment.

What is rewritten is an image's own module, made by the recipe or from one that was; :func:`read_door` takes any bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

__all__ = [
    "EXPORTS",
    "Door",
    "ModuleSection",
    "Section",
    "addressed",
    "clustered",
    "imports",
    "read_door",
    "rewritten",
    "sections",
    "with_table",
]

HEADER = b"\0asm\1\0\0\0"


class ModuleSection(IntEnum):
    """The sections that matter here, by their numbers."""

    CUSTOM = 0
    IMPORT = 2
    MEMORY = 5
    GLOBAL = 6
    EXPORT = 7
    START = 8
    ELEMENT = 9
    DATA = 11
    DATA_COUNT = 12


I32, MUTABLE, TABLE, I32_CONST, END = 0x7F, 1, 1, 0x41, 0x0B


@dataclass(frozen=True)
class Section:
    """One section: its id and its payload."""

    id: int
    payload: bytes


def leb(value: int) -> bytes:
    """Unsigned LEB128."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def sleb(value: int) -> bytes:
    """Signed LEB128."""
    out = bytearray()
    while not -64 <= value < 64:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value & 0x7F])


class Reader:
    """Reads LEB128 numbers, names and bytes from a payload."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def byte(self) -> int:
        """The next byte."""
        self.at += 1
        return self.data[self.at - 1]

    def number(self) -> int:
        """An unsigned LEB128 number."""
        result = shift = 0
        while (byte := self.byte()) & 0x80:
            result |= (byte & 0x7F) << shift
            shift += 7
        return result | byte << shift

    def take(self, n: int) -> bytes:
        """The next n bytes."""
        self.at += n
        return self.data[self.at - n : self.at]

    def name(self) -> str:
        """A length-prefixed UTF-8 name."""
        return self.take(self.number()).decode()


def sections(wasm: bytes) -> Iterator[Section]:
    """The sections of a module, in order."""
    reader = Reader(wasm, len(HEADER))
    while reader.at < len(wasm):
        kind = reader.byte()
        yield Section(kind, reader.take(reader.number()))


def assemble(parts: list[Section]) -> bytes:
    """A module from its sections."""
    return HEADER + b"".join(bytes([s.id]) + leb(len(s.payload)) + s.payload for s in parts)


def memory_section(pages: int) -> bytes:
    """One memory of at least `pages` 64 KiB pages, without a maximum: the store's limiter is the limit."""
    return leb(1) + b"\0" + leb(pages)


def data_section(image: bytes, offset: int) -> bytes:
    """One active segment of memory 0."""
    start = b"\0" + bytes([I32_CONST]) + sleb(offset) + bytes([END])
    return leb(1) + start + leb(len(image)) + image


def global_section(payload: bytes, value: int) -> bytes:
    """The global section with its only mutable i32, `__stack_pointer`, at a new initial value."""
    reader = Reader(payload)
    count, out, found = reader.number(), bytearray(), 0
    for _ in range(count):
        start = reader.at
        kind, mutable = reader.byte(), reader.byte()
        head = reader.data[start : reader.at]
        expression = reader.at
        _skip_constant(reader)
        body = reader.data[expression : reader.at]
        if mutable == MUTABLE:
            assert kind == I32
            found, body = found + 1, bytes([I32_CONST]) + sleb(value) + bytes([END])
        out += head + body
    assert found == 1, f"{found} mutable globals: memory and __stack_pointer are no longer the whole state"
    return leb(count) + bytes(out)


def _skip_constant(reader: Reader) -> None:
    assert reader.byte() == I32_CONST
    reader.number()
    assert reader.byte() == END


def export_section(payload: bytes, keep: frozenset[str]) -> bytes:
    """The export section with only the names in `keep`."""
    reader = Reader(payload)
    kept: list[bytes] = []
    for _ in range(reader.number()):
        start = reader.at
        name, _kind, _index = reader.name(), reader.byte(), reader.number()
        if name in keep:
            kept.append(reader.data[start : reader.at])
    return leb(len(kept)) + b"".join(kept)


def imports(wasm: bytes) -> list[tuple[str, str]]:
    """The (module, name) pairs of the import section."""
    payload = next((s.payload for s in sections(wasm) if s.id == ModuleSection.IMPORT), b"\0")
    reader = Reader(payload)
    found: list[tuple[str, str]] = []
    for _ in range(reader.number()):
        found.append((reader.name(), reader.name()))
        assert reader.byte() == 0, "only functions are imported"
        reader.number()
    return found


EXPORTS = frozenset({"memory", "__stack_pointer", "cloche_inbox", "cloche_step"})
"""What an image exports."""
_PAGE = 65536


def rewritten(wasm: bytes, memory: bytes, pointer: int) -> bytes:
    """Return the module with `memory` as its contents from the start, and the stack pointer where it stands.

    What lies below the stack pointer is dead, and cleared. Of its exports only an image's are kept.
    """
    live = bytearray(memory)
    live[:pointer] = bytes(pointer)
    image = bytes(live).rstrip(b"\0")
    offset = (len(image) - len(image.lstrip(b"\0"))) // _PAGE * _PAGE
    pages = len(memory) // _PAGE
    parts = [_rewrite(s, image[offset:], offset, pages, pointer) for s in sections(wasm)]
    return assemble([part for part in parts if part])


def _rewrite(section: Section, image: bytes, offset: int, pages: int, pointer: int) -> Section | None:
    match section.id:
        case ModuleSection.CUSTOM | ModuleSection.START:
            return None
        case ModuleSection.MEMORY:
            return Section(section.id, memory_section(pages))
        case ModuleSection.GLOBAL:
            return Section(section.id, global_section(section.payload, pointer))
        case ModuleSection.EXPORT:
            return Section(section.id, export_section(section.payload, EXPORTS))
        case ModuleSection.DATA_COUNT:
            return Section(section.id, leb(1))
        case ModuleSection.DATA:
            return Section(section.id, data_section(image, offset))
        case _:
            return section


def addressed(wasm: bytes) -> tuple[int, list[int]]:
    """Return what a linked module's table has: the first place, and the functions from there on by their numbers."""
    reader = Reader(_elements(wasm))
    assert (reader.number(), reader.number(), reader.byte()) == (1, 0, I32_CONST), "one segment of one table"
    first = reader.number()
    assert reader.byte() == END
    return first, [reader.number() for _ in range(reader.number())]


def clustered(wasm: bytes, functions: Sequence[int]) -> bytes:
    """Return the module with these functions, of those that have addresses, declared before all others.

    An engine keeps some words for each function that has an address, written when it is first called by it, in the
    order in which the module names them. So the words of these lie side by side, in few pages.
    """
    declared = b"\3\0" + leb(len(functions)) + b"".join(map(leb, functions))
    parts: list[Section] = []
    for part in sections(wasm):
        if part.id == ModuleSection.ELEMENT and functions:
            reader = Reader(part.payload)
            # The segments' numbers change, which a linked module's code does not use.
            parts.append(Section(part.id, leb(reader.number() + 1) + declared + part.payload[reader.at :]))
        else:
            parts.append(part)
    return assemble(parts)


def with_table(wasm: bytes, name: str) -> bytes:
    """Return the module with its table exported too, by this name."""
    return assemble([_with_table(part, name) for part in sections(wasm)])


def _with_table(section: Section, name: str) -> Section:
    if section.id != ModuleSection.EXPORT:
        return section
    reader = Reader(section.payload)
    count, exported = reader.number(), leb(len(name)) + name.encode() + bytes([TABLE]) + leb(0)
    return Section(section.id, leb(count + 1) + exported + section.payload[reader.at :])


def _elements(wasm: bytes) -> bytes:
    return next(part.payload for part in sections(wasm) if part.id == ModuleSection.ELEMENT)


# ---- what a module imports and exports, read from any bytes ----

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
