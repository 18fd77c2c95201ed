"""Plain functions as a sandbox's tools, without the layer above: nothing is validated, hostile calls come through."""

import inspect
from collections.abc import Callable
from typing import Any

from cloche.runtime.dispatch import ToolSpec, UnknownTool

__all__ = ["Functions"]


class Functions:
    """A dispatcher over functions; ``blocks`` says whether they may block, and so need a thread of their own."""

    def __init__(self, *functions: Callable[..., Any], blocks: bool = False) -> None:
        self._functions = {function.__name__: function for function in functions}
        self._blocks = blocks
        self._version = 1

    def add(self, function: Callable[..., Any]) -> None:
        self._functions[function.__name__] = function
        self._version += 1

    def remove(self, name: str) -> None:
        del self._functions[name]
        self._version += 1

    def specs(self) -> list[ToolSpec]:
        return [_spec(name, function) for name, function in self._functions.items()]

    def version(self) -> int:
        return self._version

    def is_async(self, name: str) -> bool:
        return inspect.iscoroutinefunction(self._find(name))

    def blocking(self, name: str | None = None) -> bool:
        return self._blocks

    def call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return self._find(name)(*args, **kwargs)

    def _find(self, name: str) -> Callable[..., Any]:
        if name not in self._functions:
            raise UnknownTool(name)
        return self._functions[name]


def _spec(name: str, function: Callable[..., Any]) -> ToolSpec:
    return {
        "name": name,
        "params": [_parameter(each) for each in inspect.signature(function).parameters.values()],
        "returns": "",
        "doc": inspect.getdoc(function) or "",
        "async": inspect.iscoroutinefunction(function),
    }


def _parameter(parameter: inspect.Parameter) -> list[Any]:
    has_default = parameter.default is not parameter.empty
    return [parameter.name, int(parameter.kind), has_default, parameter.default if has_default else None, ""]
