"""A run's result as JSON, in the shape that ``cloche run --help`` documents."""

import math
from typing import Any, cast

from cloche.cli.shown import full_repr
from cloche.runtime.errors import GuestError, GuestException, LimitExceeded
from cloche.runtime.result import Result, ToolCallRecord

__all__ = ["json_value", "result_json"]

# Longer ints than these cannot be written in decimal, nor read back by most.
_MOST_BITS = 8_192


def result_json(result: Result[Any]) -> dict[str, Any]:
    """Return the whole result as plain JSON data."""
    return {
        **_valued("value", result.value),
        "value_type": type(result.value).__name__,
        "stdout": result.stdout,
        "stderr": result.stderr,
        "error": None if result.error is None else error_json(result.error),
        "usage": result.usage._asdict(),
        "calls": [_call_json(call) for call in result.calls],
        "rolled_back": result.rolled_back,
    }


def error_json(error: GuestError) -> dict[str, Any]:
    """Return an error; ``exception``, ``line`` and ``traceback`` are the guest's, ``used`` and ``limit`` a limit's."""
    raised = error if isinstance(error, GuestException) else None
    limit = error if isinstance(error, LimitExceeded) else None
    return {
        "type": type(error).__name__,
        "message": raised.message if raised else str(error),
        "exception": raised.type_name if raised else None,
        "line": raised.line if raised else None,
        "traceback": raised.traceback if raised else None,
        "used": limit.used if limit else None,
        "limit": limit.limit if limit else None,
    }


def json_value(value: object) -> Any:
    """Return the value as JSON data; tuples become lists. Raises TypeError for what JSON cannot hold exactly."""
    if value is None or type(value) in (bool, str):
        return value
    if type(value) is int and value.bit_length() <= _MOST_BITS:
        return value
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) in (list, tuple):
        return [json_value(item) for item in cast("list[object]", value)]
    if type(value) is dict:
        return _object(cast("dict[object, object]", value))
    raise TypeError(f"JSON has no {type(value).__name__}")


def _object(value: dict[object, object]) -> dict[str, Any]:
    if any(type(key) is not str for key in value):
        raise TypeError("JSON has no keys but strings")
    return {str(key): json_value(item) for key, item in value.items()}


def _valued(name: str, value: object) -> dict[str, Any]:
    """Return a value under its name, and ``<name>_repr``: None, or its text where JSON cannot hold it."""
    try:
        return {name: json_value(value), f"{name}_repr": None}
    except (TypeError, RecursionError):
        return {name: None, f"{name}_repr": full_repr(value)}


def _call_json(call: ToolCallRecord) -> dict[str, Any]:
    return {
        "name": call.name,
        **_valued("args", call.args),
        **_valued("kwargs", call.kwargs),
        **_valued("value", call.value),
        "outcome": call.outcome,
        "error": None if call.error is None else f"{type(call.error).__name__}: {call.error}",
        "seconds": call.seconds,
    }
