"""Functions of users, called after steps or to check an answer, with as many arguments as they take."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cloche.agent.settings import Callbacks
from cloche.agent.steps import ActionStep

__all__ = ["CallbackTable", "call_with_what_it_takes"]


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def call_with_what_it_takes(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function with the first of these arguments, as many as it has places for."""
    return function(*arguments[: _places(function, len(arguments))])


def _places(function: Callable[..., Any], given: int) -> int:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return given
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        return given
    return sum(parameter.kind in _POSITIONAL for parameter in parameters)


class CallbackTable:
    """Which functions are called for which type of step; a type covers its subclasses."""

    def __init__(self, given: Callbacks = ()) -> None:
        self._table: list[tuple[type[Any], Callable[..., Any]]] = []
        by_type = given if isinstance(given, Mapping) else {ActionStep: given}
        for kind, functions in by_type.items():
            for function in _several(functions):
                self.register(kind, function)

    def register(self, kind: type[Any], function: Callable[..., Any]) -> None:
        """Have ``function`` called with each step of this type, and with the agent if it takes two arguments."""
        self._table.append((kind, function))

    def call(self, step: Any, agent: Any) -> list[Any]:
        """Call the functions for a step; return what they returned, coroutines included. What they raise comes out."""
        return [
            call_with_what_it_takes(function, step, agent) for kind, function in self._table if isinstance(step, kind)
        ]

    def __len__(self) -> int:
        return len(self._table)


def _several(functions: Any) -> Iterable[Callable[..., Any]]:
    return (functions,) if callable(functions) else functions
