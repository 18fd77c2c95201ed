"""Dataclasses, models, named tuples and exceptions: taken apart by the sender, given a shape by the receiver."""

import builtins
import keyword
from collections.abc import Callable
from operator import itemgetter
from typing import Any, ClassVar, Final

from .codes import MAX_MESSAGE

type_name: Callable[[type], str] = type.__dict__["__name__"].__get__
"""A class's name as the interpreter keeps it; a metaclass cannot answer in its place."""

type_of: Callable[[object], type[object]] = type
"""A value's class. Type checkers conclude from `type(x) is list` that x holds unknown things; from this, nothing."""

Shape = tuple[str, tuple[str, ...]]
"""A record's type name and field names."""

_MAX_SHAPES: Final = 512
_MAX_FIELDS: Final = 200
_MAX_NAME: Final = 200
_shapes: dict[Shape, type[Any] | None] = {}
_named: dict[Shape, "type[NamedTuple]"] = {}


class Record(dict[str, Any]):
    """A dataclass or model from the guest, as the host has it: a dict of its fields that are attributes too.

    ``type_name`` is the name of its class. A field that is called like a method of dicts is an item only.
    """

    __slots__ = ("type_name",)

    def __init__(self, type_name: str, fields: dict[str, Any]) -> None:
        super().__init__(fields)
        self.type_name = type_name

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the {self.type_name} has no field {name!r}", name=name, obj=self) from None

    def __repr__(self) -> str:
        return f"{self.type_name}({', '.join(f'{name}={value!r}' for name, value in self.items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.type_name, dict(self))


class NamedTuple(tuple[Any, ...]):
    """The base of the classes that are made for named tuples of the other side."""

    __slots__ = ()
    _fields: ClassVar[tuple[str, ...]] = ()

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self._fields, self, strict=True))

    def _replace(self, **changes: Any) -> Any:
        values = [changes.pop(name, value) for name, value in zip(self._fields, self, strict=True)]
        if changes:
            raise TypeError(f"no fields of that name: {', '.join(changes)}")
        return type(self)(values)

    def __repr__(self) -> str:
        pairs = zip(self._fields, self, strict=True)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in pairs)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return build_named, (type(self).__name__, self._fields, list(self))


def fields_of(value: object) -> dict[str, Any] | None:
    """The fields of a dataclass instance or pydantic model by name, None for anything else."""
    cls: Any = type(value)
    if hasattr(cls, "__dataclass_fields__"):
        import dataclasses

        return {field.name: getattr(value, field.name) for field in dataclasses.fields(cls)}
    if not issubclass(cls, type) and isinstance(getattr(cls, "model_fields", None), dict):
        return _model_fields(cls, value)
    return None


def _model_fields(cls: Any, model: Any) -> dict[str, Any]:
    """pydantic keeps a model's fields in its `__dict__` and undeclared ones, where allowed, apart."""
    declared = {name: getattr(model, name) for name in cls.model_fields}
    return declared | (getattr(model, "__pydantic_extra__", None) or {})


_length: Callable[[Any], int] = tuple.__dict__["__len__"]


def names_of(value: tuple[Any, ...]) -> tuple[str, ...]:
    """The field names of a named tuple; none of a tuple of another class, or whose names are none."""
    names: Any = getattr(type(value), "_fields", ())
    fits = type_of(names) is tuple and 0 < len(names) == _length(value) and len(type_name(type(value))) <= _MAX_NAME
    return names if fits and all(map(_is_field, names)) and len(names) <= _MAX_FIELDS else ()


def _is_field(name: object) -> bool:
    """Those that start with an underscore are kept for methods, but for the ones that `rename=True` gives."""
    if type(name) is not str or not name.isidentifier() or keyword.iskeyword(name) or len(name) > _MAX_NAME:
        return False
    return name[0] != "_" or name[1:].isdigit()


def is_named(shape: Shape) -> bool:
    """Whether `build_named` has met this shape already; a new one costs a class."""
    return shape in _named


def build_named(name: str, fields: tuple[str, ...], values: list[Any]) -> tuple[Any, ...]:
    """An instance of a named tuple's class of that name and those fields. ValueError for what is none."""
    cls = _named.get((name, fields))
    if cls is None:
        if not 0 < len(fields) <= _MAX_FIELDS or not all(map(_is_field, fields)) or len(set(fields)) != len(fields):
            raise ValueError("field names that are none")
        if len(_named) >= _MAX_SHAPES:
            _named.clear()
        cls = _named[name, fields] = _make_named(name, fields)
    if len(values) != len(fields):
        raise ValueError("a named tuple of another length than its fields")
    return cls(values)


def _make_named(name: str, fields: tuple[str, ...]) -> type[NamedTuple]:
    """By hand, as `collections.namedtuple` runs code that it makes of the names."""
    if len(name) > _MAX_NAME or "\0" in name:
        raise ValueError("a name of a class that is none")
    members: dict[str, Any] = {field: property(itemgetter(index)) for index, field in enumerate(fields)}
    shared = {"__slots__": (), "_fields": fields, "__match_args__": fields, "__module__": "records"}
    return type(name, (NamedTuple,), members | shared | {"__doc__": f"A {name} from the other side of the bridge."})


def build_group(name: str, message: str, errors: list[Exception]) -> Exception:
    """The exception group; where its class is another one, its name stands before the message."""
    known = name in ("ExceptionGroup", "BaseExceptionGroup")
    return ExceptionGroup(message if known else f"{name}: {message}", errors)


def describe_exception(error: BaseException) -> tuple[str, str]:
    """An exception's type name and message; a message that cannot be made is "<unprintable>"."""
    try:
        # str(KeyError("x")) is "'x'", so the text would gain quotes on each crossing.
        lone = len(error.args) == 1 and type(error.args[0]) is str
        message = error.args[0] if lone and isinstance(error, KeyError) else str.__str__(str(error))
    except Exception:  # the class's own __str__ may raise anything
        message = "<unprintable>"
    return type_name(type(error)), message[:MAX_MESSAGE]


def build_exception(name: str, message: str) -> Exception:
    """The built-in exception of that name, or a plain Exception with the text "name: message"."""
    cls: Any = vars(builtins).get(name)
    if isinstance(cls, type) and issubclass(cls, Exception):
        try:
            return cls(message)
        except TypeError:  # UnicodeDecodeError and its like want more than a message
            pass
    return Exception(f"{name}: {message}")


def is_known(shape: Shape) -> bool:
    """Whether `build_record` has met this shape already; a new one costs a class."""
    return shape in _shapes


def build_record(shape: Shape, fields: dict[str, Any]) -> Any:
    """An instance of a dataclass of that shape, or the plain dict where a field's name cannot be an attribute."""
    cls = _shapes[shape] if shape in _shapes else _remember(shape)
    if cls is None:
        return fields
    record = object.__new__(cls)
    record.__dict__.update(fields)
    return record


def _remember(shape: Shape) -> type[Any] | None:
    if len(_shapes) >= _MAX_SHAPES:
        _shapes.clear()
    cls = _shapes[shape] = _make_class(*shape) if _can_be_class(*shape) else None
    return cls


def _can_be_class(name: str, fields: tuple[str, ...]) -> bool:
    return (
        len(name) <= _MAX_NAME and "\0" not in name and len(fields) <= _MAX_FIELDS and all(map(_is_attribute, fields))
    )


def _is_attribute(name: str) -> bool:
    """dataclasses writes Python from these names, so only plain ones reach it."""
    return name.isascii() and name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("__")


def _make_class(name: str, fields: tuple[str, ...]) -> type[Any]:
    import dataclasses

    cls = dataclasses.make_dataclass(name, [(field, Any) for field in fields])
    cls.__module__ = "records"
    cls.__doc__ = f"A {name} from the other side of the bridge."
    return cls
