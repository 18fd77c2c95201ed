"""Functions to call after steps, by the step's type."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cloche.agent.calling import call_with_what_it_takes
from cloche.agent.memory.steps import ActionStep
from cloche.agent.settings import Callbacks

__all__ = ["CallbackTable"]


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
