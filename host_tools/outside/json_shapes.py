"""JSON data of unknown shape, looked at one level at a time."""

from typing import Any

__all__ = ["as_dict", "as_list"]

_DICTS = frozenset({dict})
_LISTS = frozenset({list})


def as_dict(value: Any) -> dict[str, Any]:
    """Return the value if it is a dict, else an empty one."""
    return value if type(value) in _DICTS else {}


def as_list(value: Any) -> list[Any]:
    """Return the value if it is a list, else an empty one."""
    return value if type(value) in _LISTS else []
