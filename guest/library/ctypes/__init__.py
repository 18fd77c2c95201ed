"""``ctypes`` without native libraries: its types, in memory of their own. Loading a library fails."""

import errno
from collections.abc import Callable
from ctypes._data import (
    OWN,
    Array,
    Data,
    Float,
    Integer,
    Memory,
    NativeType,
    Reference,
    Simple,
    c_bool,
    c_byte,
    c_char,
    c_char_p,
    c_double,
    c_float,
    c_int,
    c_int8,
    c_int16,
    c_int32,
    c_int64,
    c_long,
    c_longdouble,
    c_longlong,
    c_short,
    c_size_t,
    c_ssize_t,
    c_time_t,
    c_ubyte,
    c_uint,
    c_uint8,
    c_uint16,
    c_uint32,
    c_uint64,
    c_ulong,
    c_ulonglong,
    c_ushort,
    c_void_p,
    c_voidp,
    c_wchar,
    c_wchar_p,
    py_object,
)
from types import GenericAlias
from typing import Any, NoReturn

__all__ = [
    "CDLL",
    "CFUNCTYPE",
    "DEFAULT_MODE",
    "POINTER",
    "PYFUNCTYPE",
    "RTLD_GLOBAL",
    "RTLD_LOCAL",
    "ArgumentError",
    "Array",
    "BigEndianStructure",
    "LibraryLoader",
    "LittleEndianStructure",
    "PyDLL",
    "Structure",
    "Union",
    "addressof",
    "alignment",
    "byref",
    "c_bool",
    "c_byte",
    "c_char",
    "c_char_p",
    "c_double",
    "c_float",
    "c_int",
    "c_int8",
    "c_int16",
    "c_int32",
    "c_int64",
    "c_long",
    "c_longdouble",
    "c_longlong",
    "c_short",
    "c_size_t",
    "c_ssize_t",
    "c_time_t",
    "c_ubyte",
    "c_uint",
    "c_uint8",
    "c_uint16",
    "c_uint32",
    "c_uint64",
    "c_ulong",
    "c_ulonglong",
    "c_ushort",
    "c_void_p",
    "c_voidp",
    "c_wchar",
    "c_wchar_p",
    "cast",
    "cdll",
    "create_string_buffer",
    "create_unicode_buffer",
    "get_errno",
    "memmove",
    "memset",
    "pointer",
    "py_object",
    "pydll",
    "pythonapi",
    "resize",
    "set_errno",
    "sizeof",
    "string_at",
    "wstring_at",
]

_REASON = "native libraries cannot be loaded in this sandbox"


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise OSError(errno.ENOSYS, _REASON)


class ArgumentError(Exception):
    """An argument that a native function does not take."""


class _StructureType(NativeType):
    """The type of types with fields, which are laid out when they are set."""

    def __init__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> None:
        super().__init__(name, bases, body)
        if "_fields_" in body:
            _lay_out(cls, body["_fields_"])

    def __setattr__(cls, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "_fields_":
            _lay_out(cls, value)


class _Field:
    """One field of a structure or a union: where it is, and of what type."""

    def __init__(self, name: str, kind: Any, offset: int, bits: tuple[int, int] | None = None) -> None:
        self.name, self.kind, self.offset, self.bits = name, kind, offset, bits
        self.size = kind._size_ if bits is None else bits[1] << 16 | bits[0]

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        if owner is None:
            return self
        value = self.kind._read(owner._memory, owner._place + self.offset)
        if self.bits is None:
            return value
        first, count = self.bits
        value = (value >> first) & ((1 << count) - 1)
        return value - (1 << count) if self.kind._type_.islower() and value >> (count - 1) else value

    def __set__(self, owner: Any, value: Any) -> None:
        place = owner._place + self.offset
        if self.bits is not None:
            first, count = self.bits
            mask = ((1 << count) - 1) << first
            value = (self.kind._read(owner._memory, place) & ~mask) | (value << first & mask)
        self.kind._write(owner._memory, place, value)

    def __repr__(self) -> str:
        return f"<Field type={self.kind.__name__}, ofs={self.offset}, size={self.size}>"


class _Layout:
    """Where the next field goes, and what size and alignment they have together."""

    def __init__(self, kind: Any, size: int, align: int) -> None:
        self.size, self.align = size, align
        self._pack: int = getattr(kind, "_pack_", 16)
        self._is_union = issubclass(kind, Union)
        self._bits = 0
        """How many bits of the last field are taken, if fields share it."""

    def add(self, name: str, kind: Any, width: int | None) -> _Field:
        """Return the next field."""
        if width is not None and 0 < self._bits <= 8 * kind._size_ - width and not self._is_union:
            found = _Field(name, kind, self.size - kind._size_, (self._bits, width))
            self._bits += width
            return found
        align = min(kind._align_, self._pack)
        offset = 0 if self._is_union else -(-self.size // align) * align
        self.size, self.align = max(self.size, offset + kind._size_), max(self.align, align)
        self._bits = width or 0
        return _Field(name, kind, offset, None if width is None else (0, width))


def _lay_out(made: Any, fields: Any) -> None:
    base = made.__mro__[1]
    layout = _Layout(made, base._size_, base._align_)
    made._names_ = list(getattr(base, "_names_", ()))
    for name, declared, *width in fields:
        kind = _swapped(declared) if getattr(made, "_swapped_", False) else declared
        field = layout.add(name, kind, width[0] if width else None)
        setattr(made, name, field)
        made._names_.append(name)
        for inner in getattr(kind, "_names_", ()) if name in getattr(made, "_anonymous_", ()) else ():
            part = vars(kind)[inner]
            setattr(made, inner, _Field(inner, part.kind, field.offset + part.offset, part.bits))
    made._align_ = layout.align
    made._size_ = -(-layout.size // layout.align) * layout.align


def _swapped(kind: Any) -> Any:
    if issubclass(kind, Array):
        return _swapped(kind._type_) * kind._length_
    if not issubclass(kind, Integer | Float):
        return kind
    return NativeType(kind.__name__, (kind,), {"_order_": ">", "__module__": OWN})


class Structure(Data, metaclass=_StructureType):
    """Fields of native types, side by side."""

    def __init__(self, *values: Any, **named: Any) -> None:
        names = getattr(self, "_names_", ())
        if len(values) > len(names):
            raise TypeError("too many initializers")
        for name, value in zip(names, values, strict=False):
            if name in named:
                raise TypeError(f"duplicate values for field {name!r}")
            setattr(self, name, value)
        for name, value in named.items():
            setattr(self, name, value)


class Union(Structure):
    """Fields of native types in the same place."""


class LittleEndianStructure(Structure):
    """A structure whose numbers have their lowest byte first, as here."""


class BigEndianStructure(Structure):
    """A structure whose numbers have their highest byte first."""

    _swapped_ = True


class _Pointer(Reference):
    """What leads to a value in memory."""

    _type_: Any = None

    def __init__(self, target: Any = None) -> None:
        if target is not None:
            self.contents = target

    @property
    def contents(self) -> Any:
        """The value that it leads to. Raises ValueError if there is none."""
        target = self._load(self._memory, self._place)
        if target is None:
            raise ValueError("NULL pointer access")
        return target if isinstance(target, self._type_) else self._type_._at(target._memory, target._place)

    @contents.setter
    def contents(self, target: Any) -> None:
        if not isinstance(target, self._type_ | Array):
            raise TypeError(f"expected {self._type_.__name__} instead of {type(target).__name__}")
        self._store(self._memory, self._place, target)

    @classmethod
    def _read(cls, memory: Memory, place: int) -> Any:
        return cls._at(memory, place)

    @classmethod
    def _write(cls, memory: Memory, place: int, value: Any) -> None:
        cls._store(memory, place, value._load(value._memory, value._place) if isinstance(value, cls) else value)

    def _item(self, index: int) -> int:
        return int(self.contents._place + index * self._type_._size_)

    def __getitem__(self, index: int) -> Any:
        return self._type_._read(self.contents._memory, self._item(index))

    def __setitem__(self, index: int, value: Any) -> None:
        self._type_._write(self.contents._memory, self._item(index), value)


_pointers: dict[Any, Any] = {None: c_void_p}


def POINTER(kind: Any) -> Any:
    """Return the type of pointers to a type."""
    if kind not in _pointers:
        _pointers[kind] = NativeType(f"LP_{kind.__name__}", (_Pointer,), {"_type_": kind})
    return _pointers[kind]


def pointer(target: Any) -> Any:
    """Return a pointer to a value."""
    return POINTER(type(target))(target)


class _ByReference:
    """A value as an argument that leads to it."""

    def __init__(self, target: Data) -> None:
        self._obj = target

    def __repr__(self) -> str:
        return f"<cparam 'P' ({type(self._obj).__name__})>"


def byref(target: Any, offset: int = 0) -> Any:
    """Return what a native function takes as a pointer to a value."""
    if not isinstance(target, Data):
        raise TypeError(f"byref() argument must be a ctypes instance, not '{type(target).__name__}'")
    return _ByReference(target)


def cast(target: Any, kind: Any) -> Any:
    """Return what leads to the same place as an array or a pointer does, as another type."""
    found = target.contents if isinstance(target, _Pointer) else target
    if not isinstance(found, Data) or not issubclass(kind, Reference):
        _refuse()
    made = kind()
    made._memory.objects[0] = found
    made._memory.view[0] = 1
    return made


def CFUNCTYPE(result: Any, *arguments: Any, **_: Any) -> Any:
    """Return a type of functions; what is made of a function of Python can be called."""

    def call(self: Any, *values: Any) -> Any:
        if len(values) != len(arguments):
            many = f"{len(arguments)} argument{'s'[: len(arguments) != 1]}"
            raise TypeError(f"this function takes at least {many} ({len(values)} given)")
        given = [
            kind._read(one._memory, 0) for kind, value in zip(arguments, values, strict=True) if (one := kind(value))
        ]
        value = self._function(*given)
        return None if result is None else result(value).value

    def begin(self: Any, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise TypeError("argument must be callable or integer function address")
        self._function = function

    body = {
        "__init__": begin,
        "__call__": call,
        "_restype_": result,
        "_argtypes_": arguments,
        "_size_": 4,
        "_align_": 4,
    }
    return NativeType("CFunctionType", (Data,), body)


def sizeof(of: Any) -> int:
    """Return the bytes that a value of the type takes. Raises TypeError for what is no native type."""
    if not isinstance(of, Data | NativeType):
        raise TypeError("this type has no size")
    return int(of._size_)


def alignment(of: Any) -> int:
    """Return what the place of a value of the type is a multiple of. Raises TypeError for what is no native type."""
    if not isinstance(of, Data | NativeType):
        raise TypeError("no alignment info")
    return int(of._align_)


def resize(of: Any, size: int) -> None:
    """Give a value more memory, with zeros at its end. Raises ValueError for less than its type takes."""
    if size < type(of)._size_:
        raise ValueError(f"minimum size is {type(of)._size_}")
    of._memory, of._size_ = Memory(bytearray(bytes(of).ljust(size, b"\0"))), size


def _buffer(kind: Any, text: type, init: Any, size: int | None) -> Any:
    if isinstance(init, int):
        return (kind * init)()
    if not isinstance(init, text):
        raise TypeError(init)
    made = (kind * (len(init) + 1 if size is None else size))()
    made.value = init
    return made


def create_string_buffer(init: Any, size: int | None = None) -> Any:
    """Return an array of bytes: with these and a zero, or so many zeros."""
    return _buffer(c_char, bytes, init, size)


def create_unicode_buffer(init: Any, size: int | None = None) -> Any:
    """Return an array of characters: with these and a zero, or so many zeros."""
    return _buffer(c_wchar, str, init, size)


def _memory_of(of: Any) -> memoryview:
    if isinstance(of, _ByReference):
        of = of._obj
    if isinstance(of, Reference):
        of = of._load(of._memory, of._place)
    if isinstance(of, Data):
        return of._memory.view[of._place :]
    return memoryview(of).cast("B") if isinstance(of, bytes | bytearray) else _refuse()


def memmove(to: Any, source: Any, count: int) -> Any:
    """Copy bytes from one place to another."""
    _memory_of(to)[:count] = bytes(_memory_of(source)[:count])
    return to


def memset(to: Any, value: int, count: int) -> Any:
    """Set bytes of a place to a value."""
    _memory_of(to)[:count] = bytes([value & 255]) * count
    return to


def string_at(of: Any, size: int = -1) -> bytes:
    """Return so many bytes of a place, or those before the first zero."""
    found = bytes(_memory_of(of))
    return found.partition(b"\0")[0] if size < 0 else found[:size]


def get_errno(value: int = 0) -> int:
    """Return 0: nothing native has failed."""
    return 0


class CDLL:
    """A native library. Raises OSError: none can be loaded."""

    def __init__(self, *_: Any, **__: Any) -> None:
        _refuse()


class PyDLL(CDLL):
    """The same, for Python's own functions."""


class LibraryLoader:
    """What loads libraries as they are named."""

    __class_getitem__ = classmethod(GenericAlias)

    def __init__(self, kind: Any) -> None:
        self.LoadLibrary = kind

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return _refuse()


cdll, pydll = LibraryLoader(CDLL), LibraryLoader(PyDLL)
pythonapi: Any = LibraryLoader(PyDLL)
DEFAULT_MODE = RTLD_LOCAL = 0
RTLD_GLOBAL = 256
PYFUNCTYPE, set_errno = CFUNCTYPE, get_errno
addressof = wstring_at = _refuse
_SimpleCData = Simple
