"""Names in WebAssembly objects: read, and changed so that modules made to be loaded one by one are linked together.

A module that is loaded on its own has names of its own; what is linked statically shares all of them. So a name that an
earlier module has already is changed in a later one, in each of its objects: every module keeps the function it was
compiled with, even if another one's has the same name and another meaning.

Objects are in the format of LLVM's linker: the names are in a custom section `linking`, beside the imports.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_CUSTOM, _IMPORT = 0, 2
_SYMBOL_TABLE = 8
_FUNCTION, _DATA, _GLOBAL, _SECTION, _TAG, _TABLE = range(6)
_IMPORT_KIND = {_FUNCTION: 0, _TABLE: 1, _GLOBAL: 3, _TAG: 4}
_WEAK, _LOCAL, _UNDEFINED, _EXPLICIT_NAME = 1, 2, 0x10, 0x40
# The table of NumPy's functions: the same one in all modules, so that they can share the variable for it.
SHARED = re.compile(r".*(ARRAY|UFUNC)_API")


class _Reader:
    """Bytes, from the start to the end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def __bool__(self) -> bool:
        return self.at < len(self.data)

    def byte(self) -> int:
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def sized(self) -> bytes:
        return self.take(self.number())

    def limits(self) -> None:
        bounded = self.number() & 1
        for _ in range(1 + bounded):
            self.number()


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _sized(data: bytes) -> bytes:
    return _number(len(data)) + data


@dataclass
class Symbol:
    """One entry of an object's table. `tail` is what follows the name of data: where it lies."""

    kind: int
    flags: int
    index: int = 0
    name: str = ""
    tail: bytes = b""

    @property
    def is_defined(self) -> bool:
        """Whether other objects get it from this one, and from no other one."""
        return self.kind != _SECTION and not self.flags & (_UNDEFINED | _LOCAL | _WEAK)

    def packed(self) -> bytes:
        """It as the table has it."""
        head = bytes([self.kind]) + _number(self.flags)
        if self.kind == _DATA:
            return head + _sized(self.name.encode()) + self.tail
        named = self.kind != _SECTION and (not self.flags & _UNDEFINED or self.flags & _EXPLICIT_NAME)
        return head + _number(self.index) + (_sized(self.name.encode()) if named else b"")


@dataclass
class Object:
    """An object file with its symbols; all else stays as it is."""

    before: bytes = b""
    after: bytes = b""
    symbols: list[Symbol] = field(default_factory=list[Symbol])

    @classmethod
    def read(cls, data: bytes) -> Object:
        """Take an object's bytes apart."""
        reader, found, imports = _Reader(data), cls(), dict[int, list[str]]()
        reader.take(8)
        while reader:
            start = reader.at
            kind, content = reader.byte(), reader.sized()
            if kind == _IMPORT:
                imports = _imports(content)
            elif kind == _CUSTOM and content.startswith(b"\x07linking"):
                found.before, found.after = data[:start], data[reader.at :]
                found._read_linking(content, imports)
        return found

    def _read_linking(self, content: bytes, imports: Mapping[int, list[str]]) -> None:
        reader = _Reader(content)
        reader.sized()
        reader.number()
        self._head, self._parts = content[: reader.at], list[tuple[int, bytes]]()
        while reader:
            kind, part = reader.byte(), reader.sized()
            self._parts.append((kind, part))
            if kind == _SYMBOL_TABLE:
                self.symbols = list(_symbols(part, imports))

    def packed(self) -> bytes:
        """The object's bytes, with the symbols as they are now."""
        if not self.symbols:
            return self.before + self.after
        table = _number(len(self.symbols)) + b"".join(symbol.packed() for symbol in self.symbols)
        parts = [(kind, table if kind == _SYMBOL_TABLE else part) for kind, part in self._parts]
        content = self._head + b"".join(bytes([kind]) + _sized(part) for kind, part in parts)
        return self.before + bytes([_CUSTOM]) + _sized(content) + self.after

    def rename(self, names: Mapping[str, str]) -> bool:
        """Change names, of what is defined here and of what is used. Returns whether there was one to change."""
        changed = False
        for symbol in self.symbols:
            if symbol.name in names and not symbol.flags & _LOCAL:
                symbol.name, changed = names[symbol.name], True
                # Else the linker takes the import's name.
                symbol.flags |= _EXPLICIT_NAME if symbol.flags & _UNDEFINED else 0
        return changed

    def weaken(self, wanted: Callable[[str], object]) -> bool:
        """Have the linker take another object's, where there are several. Returns whether there was one."""
        found = [symbol for symbol in self.symbols if symbol.is_defined and wanted(symbol.name)]
        for symbol in found:
            symbol.flags |= _WEAK
        return bool(found)


def _imports(content: bytes) -> dict[int, list[str]]:
    """The names that are imported, by kind, in order."""
    reader, found = _Reader(content), dict[int, list[str]]()
    for _ in range(reader.number()):
        reader.sized()
        name, kind = reader.sized().decode(), reader.byte()
        found.setdefault(kind, []).append(name)
        if kind == 0:
            reader.number()
        elif kind in (1, 2):
            reader.take(1 if kind == 1 else 0)
            reader.limits()
        else:
            reader.byte()
            reader.number()
    return found


def _symbols(table: bytes, imports: Mapping[int, list[str]]) -> Iterator[Symbol]:
    reader = _Reader(table)
    for _ in range(reader.number()):
        symbol = Symbol(reader.byte(), reader.number())
        undefined = symbol.flags & _UNDEFINED
        if symbol.kind == _DATA:
            symbol.name = reader.sized().decode()
            start = reader.at
            for _ in range(0 if undefined else 3):
                reader.number()
            symbol.tail = table[start : reader.at]
        else:
            symbol.index = reader.number()
            if symbol.kind == _SECTION:
                pass
            elif undefined and not symbol.flags & _EXPLICIT_NAME:
                symbol.name = imports[_IMPORT_KIND[symbol.kind]][symbol.index]
            else:
                symbol.name = reader.sized().decode()
        yield symbol


def defined(objects: Iterable[Path]) -> set[str]:
    """The names that these objects give to others."""
    return {s.name for path in objects for s in Object.read(path.read_bytes()).symbols if s.is_defined}


class Separator:
    """Changes names so that every package, and every module in it, is linked with its own functions.

    Packages are added in order. ``taken`` are names that are used already; objects that have to be changed are written
    to ``folder``.
    """

    def __init__(self, folder: Path, taken: set[str]) -> None:
        self.folder, self.taken = folder, set(taken)
        self._inits: dict[str, str] = {}

    def init_of(self, module: str) -> str:
        """Returns the name of the function that initialises a module, once its package was added."""
        return self._inits.get(module, f"PyInit_{module.rpartition('.')[2]}")

    def add(self, name: str, objects: Iterable[Path], modules: Iterable[str]) -> list[Path]:
        """Returns a package's objects, with names that no earlier one has."""
        groups: dict[str, dict[Path, Object]] = {}
        for path in objects:
            groups.setdefault(_group(path), {})[path] = Object.read(path.read_bytes())
        libraries = sorted(group for group in groups if _is_library(group))
        common: dict[str, str] = {}
        done: list[Path] = []
        for group in (*libraries, *sorted(groups.keys() - set(libraries))):
            own = self._clashes(groups[group].values(), f"{name}_{group}")
            if group in libraries:
                common |= own
            names = common | own
            self._note_inits(group, own, modules)
            done += [self._written(name, path, item, names) for path, item in groups[group].items()]
        return done

    def _clashes(self, objects: Iterable[Object], place: str) -> dict[str, str]:
        names = {s.name for item in objects for s in item.symbols if s.is_defined and not SHARED.fullmatch(s.name)}
        clashes = {name: f"{name}__{re.sub(r'[^0-9A-Za-z]+', '_', place)}" for name in names & self.taken}
        self.taken |= names
        return clashes

    def _note_inits(self, group: str, names: Mapping[str, str], modules: Iterable[str]) -> None:
        for old, new in names.items():
            if old.startswith("PyInit_"):
                candidates = [module for module in modules if module.rpartition(".")[2] == old.removeprefix("PyInit_")]
                best = [module for module in candidates if module.replace(".", "+") == group.partition(".")[0]]
                (module,) = best or candidates
                self._inits[module] = new

    def _written(self, name: str, path: Path, item: Object, names: Mapping[str, str]) -> Path:
        changed = item.rename(names)
        if not (item.weaken(SHARED.fullmatch) or changed):
            return path
        target = self.folder / name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(item.packed())
        return target


def _group(path: Path) -> str:
    """What an object is a part of: an extension module or a library, by the folder that meson had it in."""
    return path.name.partition(".p+")[0] if ".p+" in path.name else ""


def _is_library(group: str) -> bool:
    return group.rpartition("+")[2].startswith("lib")
