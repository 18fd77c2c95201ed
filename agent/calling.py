"""Calling users' functions with as many arguments as they take."""

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["call_with_what_it_takes"]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def call_with_what_it_takes(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function with the first of these arguments, as many as it has places for."""
    return function(*arguments[: _places(function, len(arguments))])


def _places(function: Callable[..., Any], most: int) -> int:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return most
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        return most
    return sum(parameter.kind in _POSITIONAL for parameter in parameters)
