"""What there is of ``ctypes`` without native libraries: its types, as values with a size. Loading a library fails."""

import errno
from typing import Any, NoReturn

_REASON = "native libraries cannot be loaded in this sandbox"


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise OSError(errno.ENOSYS, _REASON)


class ArgumentError(Exception):
    """An argument that a native function does not take."""


class _Simple:
    """One value of a native type."""

    _size_ = 4
    _default_: Any = 0

    def __init__(self, value: Any = None) -> None:
        self.value = self._default_ if value is None else value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value!r})"

    def __bool__(self) -> bool:
        return bool(self.value)

    @classmethod
    def from_param(cls, value: Any) -> Any:
        """Return the value as a native function takes it."""
        return value if isinstance(value, cls) else cls(value)


_SIZES = {
    "c_bool": 1, "c_byte": 1, "c_ubyte": 1, "c_char": 1, "c_int8": 1, "c_uint8": 1, "c_short": 2, "c_ushort": 2,
    "c_int16": 2, "c_uint16": 2, "c_int": 4, "c_uint": 4, "c_int32": 4, "c_uint32": 4, "c_long": 4, "c_ulong": 4,
    "c_longlong": 8, "c_ulonglong": 8, "c_int64": 8, "c_uint64": 8, "c_size_t": 4, "c_ssize_t": 4, "c_float": 4,
    "c_double": 8, "c_longdouble": 16, "c_wchar": 4, "c_char_p": 4, "c_wchar_p": 4, "c_void_p": 4, "py_object": 4,
}  # fmt: skip
_TEXT = {"c_char": b"\0", "c_wchar": "\0", "c_char_p": None, "c_wchar_p": None, "c_void_p": None, "py_object": None}
for _name, _size in _SIZES.items():
    globals()[_name] = type(_name, (_Simple,), {"_size_": _size, "_default_": _TEXT.get(_name, 0)})


class Structure:
    """Fields of native types, side by side; only a name here."""

    _fields_: Any = ()

    def __init__(self, *values: Any, **named: Any) -> None:
        names = [each[0] for each in self._fields_]
        for name, value in {**dict(zip(names, values, strict=False)), **named}.items():
            setattr(self, name, value)


class Union(Structure):
    """Fields of native types in the same place; only a name here."""


class Array:
    """Values of one native type in a row; only a name here."""


def sizeof(of: Any) -> int:
    """Return the bytes that a value of the type takes. Raises TypeError for what is no native type."""
    size = getattr(of, "_size_", None)
    if not isinstance(size, int):
        raise TypeError("this type has no size")
    return size


def POINTER(kind: Any) -> Any:
    """Return the type of pointers to a type."""
    return type(f"LP_{getattr(kind, '__name__', 'void')}", (_Simple,), {"_type_": kind, "_default_": None})


def CFUNCTYPE(*_: Any, **__: Any) -> Any:
    """Return a type of functions, whose values cannot be made."""
    return _refuse


def get_errno() -> int:
    """Return 0: nothing native has failed."""
    return 0


class CDLL:
    """A native library. Raises OSError: none can be loaded."""

    def __init__(self, *_: Any, **__: Any) -> None:
        _refuse()


class PyDLL(CDLL):
    """The same, for Python's own functions."""


class _Loader:
    def __init__(self, kind: Any) -> None:
        self.LoadLibrary = kind

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return _refuse()


cdll, pydll = _Loader(CDLL), _Loader(PyDLL)
pythonapi: Any = _Loader(PyDLL)
byref = pointer = cast = addressof = string_at = wstring_at = memmove = memset = _refuse
create_string_buffer = create_unicode_buffer = _refuse
