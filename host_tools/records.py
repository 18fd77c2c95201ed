"""The dataclasses, models, ``TypedDict``s and enums in a tool's annotations, described for whoever has to fill them."""

import dataclasses
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any, NotRequired, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cloche.host_tools.annotation_text import annotation_text
from cloche.host_tools.brief import brief

__all__ = ["describe_types"]

_MOST_TYPES = 20


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    name: str
    annotation: Any
    required: bool
    default: Any = None
    description: str = ""

    def line(self) -> str:
        optional = "" if self.required else (f" = {brief(self.default)}" if self.default is not None else ", optional")
        described = f"  # {self.description}" if self.description else ""
        return f"    {self.name}: {annotation_text(self.annotation)}{optional}{described}"


def describe_types(taken: Iterable[Any], given: Any) -> str:
    """Return a text that lists the fields of every such type in ``taken`` (arguments) and ``given`` (the result).

    Types inside types are described too, at most twenty in all. Empty if there are none.
    """
    found: dict[type, str] = {}
    for annotation in taken:
        _collect(annotation, "pass a dict", found)
    _collect(given, "in the result", found)
    return "\n\n".join(found.values())


def _collect(annotation: Any, use: str, found: dict[type, str]) -> None:
    for part in get_args(annotation):
        _collect(part, use, found)
    if isinstance(annotation, type) and not get_origin(annotation) and len(found) < _MOST_TYPES:
        _collect_class(cast("type[Any]", annotation), use, found)


def _collect_class(kind: type[Any], use: str, found: dict[type, str]) -> None:
    if kind in found:
        return
    if issubclass(kind, Enum):
        found[kind] = f"{kind.__name__}, one of: {', '.join(brief(member.value) for member in kind)}"
    elif _has_fields(kind):
        fields = list(_fields(kind))
        found[kind] = "\n".join([f"{kind.__name__} ({use}):", *(field.line() for field in fields)])
        for field in fields:
            _collect(field.annotation, use, found)


def _has_fields(kind: type[Any]) -> bool:
    return issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind) or _is_typed_dict(kind)


def _is_typed_dict(kind: type[Any]) -> bool:
    # Not typing.is_typeddict: before Python 3.12 it does not know those of typing_extensions, which pydantic asks for.
    return dict in kind.__mro__ and hasattr(kind, "__required_keys__")


def _fields(kind: type[Any]) -> Iterator[_Field]:
    if issubclass(kind, BaseModel):
        return _of_model(kind)
    return _of_dataclass(kind) if dataclasses.is_dataclass(kind) else _of_typed_dict(kind)


def _of_model(model: type[BaseModel]) -> Iterator[_Field]:
    for name, info in model.model_fields.items():
        required = info.is_required()
        yield _Field(_key(name, info), info.annotation, required, _shown(info), info.description or "")


def _key(name: str, info: FieldInfo) -> str:
    return info.validation_alias if isinstance(info.validation_alias, str) else name


def _shown(info: FieldInfo) -> Any:
    return None if info.is_required() else info.default


def _of_dataclass(kind: Any) -> Iterator[_Field]:
    hints = _hints(kind)
    for field in dataclasses.fields(kind):
        if field.init:
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            default = None if field.default is dataclasses.MISSING else field.default
            yield _Field(field.name, hints.get(field.name, field.type), required, default)


def _of_typed_dict(kind: type[Any]) -> Iterator[_Field]:
    required = cast("frozenset[str]", getattr(kind, "__required_keys__", frozenset[str]()))
    for name, annotation in _hints(kind).items():
        # Under postponed evaluation the class itself does not see NotRequired, only the resolved annotation does.
        yield _Field(name, annotation, name in required and get_origin(annotation) is not NotRequired)


def _hints(kind: type[Any]) -> dict[str, Any]:
    try:
        return get_type_hints(kind, include_extras=True)
    except NameError:
        return dict(kind.__annotations__)
