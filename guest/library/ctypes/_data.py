"""Native types of one value and of many in a row, in memory of their own, laid out as C does.

Pointers lead to objects, not to numbers: what they stand for in memory is only whether there is one.
"""

import struct
from collections.abc import Iterator
from types import GenericAlias
from typing import Any

OWN = "ctypes"
"""The module that these types say they are of."""


class Memory:
    """Bytes, and the objects that pointers in them lead to, by their place."""

    def __init__(self, data: Any) -> None:
        self.view = memoryview(data).cast("B")
        self.objects: dict[int, Any] = {}


class NativeType(type):
    """The type of native types, of which ``kind * 3`` is an array."""

    _size_: int
    _align_: int

    def __init__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> None:
        super().__init__(name, bases, body)
        if cls.__module__ == __name__:
            cls.__module__ = OWN

    def __mul__(cls, length: int) -> "NativeType":
        if length < 0:
            raise ValueError(f"Array length must be >= 0, not {length}")
        made = _arrays.get((cls, length))
        if made is None:
            body = {"_type_": cls, "_length_": length, "_size_": cls._size_ * length, "_align_": cls._align_}
            base = CharArray if issubclass(cls, c_char) else _TextArray if issubclass(cls, c_wchar) else Array
            made = _arrays[cls, length] = NativeType(f"{cls.__name__}_Array_{length}", (base,), body)
        return made

    __rmul__ = __mul__


_arrays: dict[tuple[NativeType, int], NativeType] = {}


class Data(metaclass=NativeType):
    """A value in memory: its own, or a part of another one's."""

    _size_ = 0
    _align_ = 1
    _memory: Memory
    _place = 0

    def __new__(cls, *_: Any, **__: Any) -> Any:
        made = super().__new__(cls)
        made._memory = Memory(bytearray(cls._size_))
        return made

    @classmethod
    def _at(cls, memory: Memory, place: int) -> Any:
        made = object.__new__(cls)
        made._memory, made._place = memory, place
        return made

    @classmethod
    def from_buffer(cls, source: Any, offset: int = 0) -> Any:
        """Return one whose memory is that of a writable buffer."""
        view = memoryview(source).cast("B")
        if view.readonly:
            raise TypeError("underlying buffer is not writable")
        if len(view) < offset + cls._size_:
            raise ValueError(f"Buffer size too small ({len(view)} instead of at least {offset + cls._size_} bytes)")
        return cls._at(Memory(view), offset)

    @classmethod
    def from_buffer_copy(cls, source: Any, offset: int = 0) -> Any:
        """Return one with the bytes of a buffer."""
        return cls.from_buffer(bytearray(source), offset)

    @classmethod
    def from_param(cls, value: Any) -> Any:
        """Return the value as a native function takes it."""
        return value if isinstance(value, cls) else cls(value)

    @property
    def _bytes(self) -> memoryview:
        return self._memory.view[self._place : self._place + self._size_]

    def __buffer__(self, flags: int, /) -> memoryview:
        return self._bytes

    @classmethod
    def _of(cls, value: Any) -> Any:
        return cls(*value) if isinstance(value, tuple) else cls(value)

    @classmethod
    def _read(cls, memory: Memory, place: int) -> Any:
        return cls._at(memory, place)

    @classmethod
    def _write(cls, memory: Memory, place: int, value: Any) -> None:
        if not isinstance(value, cls):
            value = cls._of(value)
        memory.view[place : place + cls._size_] = value._bytes
        inside = range(value._place, value._place + cls._size_)
        moved = {place + at - value._place: each for at, each in value._memory.objects.items() if at in inside}
        memory.objects.update(moved)


class Array(Data):
    """Values of one native type in a row."""

    __class_getitem__ = classmethod(GenericAlias)
    _type_: Any = None
    _length_ = 0

    def __init__(self, *values: Any) -> None:
        if len(values) > self._length_:
            raise IndexError("invalid index")
        for index, value in enumerate(values):
            self[index] = value

    @classmethod
    def _of(cls, value: Any) -> Any:
        if isinstance(value, tuple):
            return cls(*value)
        made = cls()
        made.value = value
        return made

    def __len__(self) -> int:
        return self._length_

    def _where(self, index: int) -> int:
        if index < 0:
            index += self._length_
        if not 0 <= index < self._length_:
            raise IndexError("invalid index")
        return self._place + index * int(self._type_._size_)

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, slice):
            return self._type_._read(self._memory, self._where(index))
        values = [self[each] for each in range(*index.indices(self._length_))]
        return self._nothing_[:0].join(values) if isinstance(self, CharArray) else values

    def __setitem__(self, index: Any, value: Any) -> None:
        if not isinstance(index, slice):
            self._type_._write(self._memory, self._where(index), value)
            return
        places = range(*index.indices(self._length_))
        if len(places) != len(value):
            raise ValueError("Can only assign sequence of same size")
        for place, each in zip(places, value, strict=True):
            self[place] = each

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(self._length_))


class CharArray(Array):
    """Bytes or characters in a row."""

    _nothing_: Any = b"\0"

    @classmethod
    def _read(cls, memory: Memory, place: int) -> Any:
        return cls._at(memory, place).value

    @property
    def raw(self) -> bytes:
        """All of its bytes."""
        return bytes(self._bytes)

    @raw.setter
    def raw(self, value: bytes) -> None:
        self._bytes[: len(value)] = value

    @property
    def value(self) -> Any:
        """What is before the first zero."""
        return self[:].partition(self._nothing_)[0]

    @value.setter
    def value(self, value: Any) -> None:
        if not isinstance(value, type(self._nothing_)):
            raise TypeError(f"{type(self._nothing_).__name__} expected instead of {type(value).__name__} instance")
        if len(value) > self._length_:
            raise ValueError(f"{'byte ' if isinstance(value, bytes) else ''}string too long")
        value = (value + self._nothing_)[: self._length_]
        self[: len(value)] = [value[index : index + 1] for index in range(len(value))]


class _TextArray(CharArray):
    _nothing_ = "\0"


class Simple(Data):
    """One value of a native type."""

    _type_ = ""
    _order_ = "<"

    def __init__(self, value: Any = None) -> None:
        if value is not None:
            self.value = value

    @property
    def value(self) -> Any:
        """The value, as Python has it."""
        return self._load(self._memory, self._place)

    @value.setter
    def value(self, value: Any) -> None:
        self._store(self._memory, self._place, value)

    @classmethod
    def _load(cls, memory: Memory, place: int) -> Any:
        (value,) = struct.unpack_from(cls._order_ + cls._type_, memory.view, place)
        return value

    @classmethod
    def _store(cls, memory: Memory, place: int, value: Any) -> None:
        struct.pack_into(cls._order_ + cls._type_, memory.view, place, cls._fitting(value))

    @classmethod
    def _fitting(cls, value: Any) -> Any:
        return value

    # As a field or an item it is its value, but a class of the program's own is itself.
    @classmethod
    def _read(cls, memory: Memory, place: int) -> Any:
        return cls._load(memory, place) if cls.__module__ == OWN else cls._at(memory, place)

    @classmethod
    def _write(cls, memory: Memory, place: int, value: Any) -> None:
        cls._store(memory, place, value.value if isinstance(value, cls) else value)

    def __repr__(self) -> str:
        if type(self).__module__ != OWN:
            return object.__repr__(self)
        return f"{type(self).__name__}({self.value!r})"

    def __bool__(self) -> bool:
        return any(self._bytes)


class Integer(Simple):
    """A whole number, of which as many bits are kept as there is room for."""

    @classmethod
    def _fitting(cls, value: Any) -> Any:
        if isinstance(value, float) or not hasattr(value, "__index__"):
            raise TypeError(f"'{type(value).__name__}' object cannot be interpreted as an integer")
        bits = 8 * cls._size_
        value = value.__index__() & ((1 << bits) - 1)
        return value - (1 << bits) if cls._type_.islower() and value >> (bits - 1) else value


class Float(Simple):
    """A number with a fraction."""

    @classmethod
    def _fitting(cls, value: Any) -> Any:
        if not isinstance(value, int | float) and not hasattr(value, "__float__"):
            raise TypeError(f"must be real number, not {type(value).__name__}")
        try:
            struct.pack(cls._type_, value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
        return value


class c_bool(Simple):
    """A truth value."""

    _type_, _size_ = "?", 1


class c_char(Simple):
    """One byte."""

    _type_, _size_ = "c", 1

    @classmethod
    def _fitting(cls, value: Any) -> Any:
        if isinstance(value, int) and 0 <= value < 256:
            return bytes([value])
        if not isinstance(value, bytes | bytearray) or len(value) != 1:
            raise TypeError("one character bytes, bytearray or integer expected")
        return bytes(value)


class c_wchar(Simple):
    """One character of text."""

    _type_, _size_, _align_ = "u", 4, 4

    @classmethod
    def _load(cls, memory: Memory, place: int) -> Any:
        return chr(struct.unpack_from("<I", memory.view, place)[0])

    @classmethod
    def _store(cls, memory: Memory, place: int, value: Any) -> None:
        if not isinstance(value, str):
            raise TypeError(f"a unicode character expected, not instance of {type(value).__name__}")
        if len(value) != 1:
            raise TypeError("one character unicode string expected")
        struct.pack_into("<I", memory.view, place, ord(value))


class Reference(Simple):
    """A place that has room for an address, and leads to an object."""

    _size_ = _align_ = 4
    _takes_: tuple[type, ...] = (object,)

    @classmethod
    def _load(cls, memory: Memory, place: int) -> Any:
        return memory.objects.get(place)

    @classmethod
    def _store(cls, memory: Memory, place: int, value: Any) -> None:
        if value is not None and not isinstance(value, cls._takes_):
            wanted = cls._takes_[0].__name__
            raise TypeError(f"{wanted} or integer address expected instead of {type(value).__name__} instance")
        memory.objects[place] = value
        struct.pack_into("<I", memory.view, place, 0 if value is None else 1)


class c_char_p(Reference):
    """Bytes that end with a zero."""

    _type_, _takes_ = "z", (bytes,)

    @classmethod
    def _load(cls, memory: Memory, place: int) -> Any:
        value = super()._load(memory, place)
        return value if value is None else value.partition(b"\0")[0]


class c_wchar_p(Reference):
    """Text that ends with a zero."""

    _type_, _takes_ = "Z", (str,)


class c_void_p(Reference):
    """An address of anything."""

    _type_ = "P"


class py_object(Reference):
    """An object of Python."""

    _type_ = "O"


def _number(name: str, letter: str, kind: type[Simple]) -> Any:
    size = struct.calcsize(f"<{letter}")
    return NativeType(name, (kind,), {"_type_": letter, "_size_": size, "_align_": size, "__module__": OWN})


c_byte, c_ubyte = _number("c_byte", "b", Integer), _number("c_ubyte", "B", Integer)
c_short, c_ushort = _number("c_short", "h", Integer), _number("c_ushort", "H", Integer)
c_int, c_uint = _number("c_int", "i", Integer), _number("c_uint", "I", Integer)
c_long, c_ulong = _number("c_long", "l", Integer), _number("c_ulong", "L", Integer)
c_longlong, c_ulonglong = _number("c_longlong", "q", Integer), _number("c_ulonglong", "Q", Integer)
c_float, c_double = _number("c_float", "f", Float), _number("c_double", "d", Float)
c_longdouble = _number("c_longdouble", "d", Float)
c_int8, c_uint8, c_int16, c_uint16, c_int32, c_uint32 = c_byte, c_ubyte, c_short, c_ushort, c_int, c_uint
c_int64, c_uint64, c_size_t, c_ssize_t, c_time_t, c_voidp = c_longlong, c_ulonglong, c_uint, c_int, c_longlong, c_void_p
