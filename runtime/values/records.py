"""Dataclasses, pydantic models and exceptions: taken apart by the sender, given a shape by the receiver."""

import builtins
import dataclasses
import keyword
from collections.abc import Callable
from typing import Any, Final

from .codes import MAX_MESSAGE

type_name: Callable[[type], str] = type.__dict__["__name__"].__get__
"""A class's name as the interpreter keeps it; a metaclass cannot answer in its place."""

type_of: Callable[[object], type[object]] = type
"""A value's class. Type checkers conclude from `type(x) is list` that x holds unknown things; from this, nothing."""

Shape = tuple[str, tuple[str, ...]]
"""A record's type name and field names."""

_MAX_SHAPES: Final = 512
_MAX_FIELDS: Final = 200
_shapes: dict[Shape, type[Any] | None] = {}


def fields_of(value: object) -> dict[str, Any] | None:
    """The fields of a dataclass instance or pydantic model by name, None for anything else."""
    cls = type(value)
    if dataclasses.is_dataclass(cls):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(cls)}
    if not issubclass(cls, type) and isinstance(getattr(cls, "model_fields", None), dict):
        return _model_fields(cls, value)
    return None


def _model_fields(cls: Any, model: Any) -> dict[str, Any]:
    """pydantic keeps a model's fields in its `__dict__` and undeclared ones, where allowed, apart."""
    declared = {name: getattr(model, name) for name in cls.model_fields}
    return declared | (getattr(model, "__pydantic_extra__", None) or {})


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
    return len(name) <= 200 and "\0" not in name and len(fields) <= _MAX_FIELDS and all(map(_is_attribute, fields))


def _is_attribute(name: str) -> bool:
    """dataclasses writes Python from these names, so only plain ones reach it."""
    return name.isascii() and name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("__")


def _make_class(name: str, fields: tuple[str, ...]) -> type[Any]:
    cls = dataclasses.make_dataclass(name, [(field, Any) for field in fields])
    cls.__module__ = "records"
    cls.__doc__ = f"A {name} from the other side of the bridge."
    return cls
