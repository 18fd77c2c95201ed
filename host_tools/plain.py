"""Values of the guest's classes as dicts and text, of which pydantic makes instances of the host's own."""

import dataclasses
from pathlib import PurePath
from typing import Any

__all__ = ["has_guest_classes", "without_guest_classes"]

_LISTS = frozenset({list, tuple})
_DICTS = frozenset({dict})


def has_guest_classes(value: Any) -> bool:
    """Return whether a record or a path stands anywhere in a decoded value.

    Records come from dataclasses of the guest, and from results of other tools that the program passes on; on
    this side they are instances of classes made for the purpose, which no annotation names. Paths arrive as pure
    ones, since they name nothing on this side, and ``Path`` does not accept these.
    """
    if type(value) in _DICTS:
        return any(map(has_guest_classes, value.values()))
    if type(value) in _LISTS:
        return any(map(has_guest_classes, value))
    return _is_record(value) or isinstance(value, PurePath)


def without_guest_classes(value: Any) -> Any:
    """Return the value with dicts for records and text for paths, however deep. Containers are copied."""
    if type(value) in _DICTS:
        return {key: without_guest_classes(item) for key, item in value.items()}
    if type(value) in _LISTS:
        return type(value)(map(without_guest_classes, value))
    if _is_record(value):
        return {field.name: without_guest_classes(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return str(value) if isinstance(value, PurePath) else value


def _is_record(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)
