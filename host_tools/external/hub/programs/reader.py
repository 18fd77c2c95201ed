"""Reads the code of one tool, says what the tool takes, and calls it.

A module of the tool's own session, where the code itself is a program: the host calls ``prepare`` before it is run,
then ``describe``, and ``call`` for each call.
"""

import inspect
import re
import sys
import types
import typing
from collections.abc import Callable
from typing import Any

PLAIN: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
ANYTHING = {"any", "image", "audio"}
MARKED: list[Callable[..., Any]] = []
CHOSEN: list[Callable[..., Any]] = []
BEFORE: dict[str, Any] = {}


class Tool:
    """What a tool's class may be made from, here: that of cloche, and that of smolagents."""

    name: str = ""
    description: str = ""
    inputs: Any = None
    forward: Callable[..., Any]

    def setup(self) -> None:
        """Prepare the tool."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the tool."""
        return self.forward(*args, **kwargs)


def tool(function: Any = None, **options: Any) -> Any:
    """Mark a function as the tool."""

    def mark(marked: Any) -> Any:
        marked.name = options.get("name") or marked.__name__
        MARKED.append(marked)
        return marked

    return mark if function is None else mark(function)


def prepare(space: dict[str, Any]) -> None:
    """Make what a tool's code imports, and note what there is before it."""
    for name in ("cloche", "cloche.host_tools", "smolagents", "smolagents.tools"):
        shim: Any = types.ModuleType(name)
        shim.Tool, shim.tool = Tool, tool
        sys.modules[name] = shim
    BEFORE.update(space)


def describe(space: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Find the tool among what the code has defined, and return its name, description and the JSON schema it takes."""
    chosen: Any = _only(space)
    if inspect.isclass(chosen):
        chosen = chosen(**arguments)
        chosen.setup()
    CHOSEN[:] = [chosen]
    told = chosen.description if isinstance(chosen, Tool) else ""
    documented = inspect.getdoc(chosen) or ""
    name = getattr(chosen, "name", "") or getattr(chosen, "__name__", "")
    return {"name": name, "description": told or documented, "schema": _arguments(chosen, documented)}


async def call(arguments: dict[str, Any]) -> Any:
    """Call the tool, and wait for it if it is a coroutine function."""
    answer = CHOSEN[0](**arguments)
    return (await answer) if inspect.isawaitable(answer) else answer


def _only(space: dict[str, Any]) -> Any:
    own = [value for name, value in space.items() if not name.startswith("_") and BEFORE.get(name) is not value]
    mine = [value for value in own if getattr(value, "__module__", "") == "__main__"]
    classes = [value for value in mine if inspect.isclass(value) and issubclass(value, Tool)]
    for found in (
        MARKED,
        [one for one in own if isinstance(one, Tool)],
        classes,
        list(filter(inspect.isfunction, mine)),
    ):
        if len(found) == 1:
            return found[0]
        if found:
            raise TypeError(f"it defines {len(found)} tools, and a tool's code is one")
    raise TypeError("it defines no tool: neither @tool nor a subclass of Tool")


def _arguments(chosen: Any, documented: str) -> dict[str, Any]:
    inputs: Any = chosen.inputs if isinstance(chosen, Tool) else None
    if isinstance(inputs, dict):
        return _listed(inputs)
    function = chosen.forward if isinstance(chosen, Tool) else chosen
    told = dict(re.findall(r"^\s+(\w+)(?: \([^)]*\))?: (.+)$", f"{documented}\n{inspect.getdoc(function)}", re.M))
    parameters = inspect.signature(function).parameters
    hints = _hints(function)
    properties: dict[str, Any] = {}
    for name, parameter in parameters.items():
        default = {} if parameter.default is parameter.empty else {"default": parameter.default}
        properties[name] = {**_schema(hints.get(name)), **default, "description": told.get(name, "")}
    required = [name for name, parameter in parameters.items() if parameter.default is parameter.empty]
    return {"type": "object", "properties": properties, "required": required}


def _hints(function: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except Exception:
        # Of names that only exist for type checkers.
        return {}


def _listed(inputs: Any) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name, described in inputs.items():
        kind = described.get("type", "any")
        known = {} if kind in ANYTHING or not isinstance(kind, str) else {"type": kind}
        properties[name] = {**known, "description": str(described.get("description", ""))}
    required = [name for name, described in inputs.items() if not described.get("nullable")]
    return {"type": "object", "properties": properties, "required": required}


def _schema(annotation: Any) -> dict[str, Any]:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in PLAIN:
        return {"type": PLAIN[annotation]}
    if origin is typing.Literal:
        return {"enum": list(parts)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(part) for part in parts]}
    if (origin or annotation) in (list, tuple, set):
        return {"type": "array", "items": _schema(parts[0]) if parts else {}}
    return {"type": "object"} if (origin or annotation) is dict else {}
