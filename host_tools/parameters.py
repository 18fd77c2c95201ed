"""What a tool takes and gives, read once from its signature."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, Unpack, get_args, get_origin, get_type_hints

from pydantic.fields import FieldInfo

from cloche.host_tools.docstrings import Docstring
from cloche.host_tools.errors import ToolDefinitionError

__all__ = ["Kind", "Parameter", "Signature", "read_signature"]

_NOTHING = inspect.Parameter.empty


class Kind(IntEnum):
    """How a parameter takes its value; the numbers are those of ``inspect.Parameter``'s kinds."""

    POSITIONAL_ONLY = 0
    POSITIONAL_OR_KEYWORD = 1
    VAR_POSITIONAL = 2
    KEYWORD_ONLY = 3
    VAR_KEYWORD = 4


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its ``annotation`` is ``Any`` where none was written, ``description`` may be empty."""

    name: str
    kind: Kind
    annotation: Any = Any
    default: Any = _NOTHING
    description: str = ""

    @property
    def has_default(self) -> bool:
        """Whether a caller may leave it out; the collecting ``*`` and ``**`` kinds have no default."""
        return self.default is not _NOTHING

    @property
    def collects(self) -> bool:
        """Whether it is ``*args`` or ``**kwargs``."""
        return self.kind in (Kind.VAR_POSITIONAL, Kind.VAR_KEYWORD)

    @property
    def required(self) -> bool:
        """Whether every call must give it."""
        return not (self.has_default or self.collects)


@dataclass(frozen=True, slots=True)
class Signature:
    """A tool's parameters in order and the annotation of its result (``inspect.Parameter.empty``: none)."""

    parameters: tuple[Parameter, ...]
    returns: Any = _NOTHING


def read_signature(function: Callable[..., Any], tool: str, docstring: Docstring, *, typed: bool) -> Signature:
    """Read a function's signature; ``tool`` is the name used in errors.

    With ``typed`` a parameter without annotation is an error, otherwise it accepts anything. What a
    ``functools.partial`` has fixed by keyword is no parameter: the guest neither sees nor changes it.
    Raises ToolDefinitionError for what cannot be read, resolved or offered.
    """
    hints = _hints(function, tool)
    parameters = [_parameter(raw, hints, docstring) for raw in _raw_parameters(function, tool)]
    for parameter in parameters:
        _check(parameter, tool, typed and parameter.name not in hints)
    return Signature(tuple(parameters), hints.get("return", _NOTHING))


def _raw_parameters(function: Callable[..., Any], tool: str) -> Iterator[inspect.Parameter]:
    try:
        raw = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        problem = "its signature cannot be read; wrap it in a function of your own with annotations"
        raise ToolDefinitionError(f"tool {tool!r}", problem) from error
    fixed = function.keywords if isinstance(function, functools.partial) else {}
    return (parameter for parameter in raw if parameter.name not in fixed)


def _hints(function: Callable[..., Any], tool: str) -> dict[str, Any]:
    source = function.func if isinstance(function, functools.partial) else function
    if not inspect.isroutine(source):
        source = type(source).__call__
    try:
        return get_type_hints(source, include_extras=True)
    except Exception as error:  # evaluating annotations runs arbitrary expressions
        problem = f"an annotation cannot be resolved ({error}); define its types at module level, before the tool"
        raise ToolDefinitionError(f"tool {tool!r}", problem) from error


def _parameter(raw: inspect.Parameter, hints: Mapping[str, Any], docstring: Docstring) -> Parameter:
    annotation = hints.get(raw.name, Any)
    described = _field_description(annotation) or docstring.arguments.get(raw.name, "")
    return Parameter(raw.name, Kind(raw.kind), annotation, raw.default, described)


def _field_description(annotation: Any) -> str:
    extras = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    texts = [extra.description for extra in extras if isinstance(extra, FieldInfo) and extra.description]
    return texts[-1] if texts else ""


def _check(parameter: Parameter, tool: str, untyped: bool) -> None:
    problem = _problem(parameter, untyped)
    if problem:
        raise ToolDefinitionError(f"tool {tool!r}", f"argument {parameter.name!r} {problem}")


def _problem(parameter: Parameter, untyped: bool) -> str:
    if untyped and parameter.name in ("self", "cls"):
        return "has no annotation; to offer a method, register the bound one: registry.add(thing.method)"
    if untyped:
        return "has no annotation; write one, as in `city: str` (`Any` accepts everything)"
    if get_origin(parameter.annotation) is Unpack:
        return "is unpacked from a type; write its parts as parameters of their own"
    if isinstance(parameter.default, FieldInfo):
        return "has a Field as its default; write `Annotated[<type>, Field(...)] = <default>`"
    return ""
