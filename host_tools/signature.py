"""What a tool takes and gives, read once from its signature, its docstring, and a class tool's ``inputs``."""

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Annotated, Any, Unpack, cast, get_args, get_origin, get_type_hints

from pydantic.fields import FieldInfo

from cloche.host_tools.errors import ToolDefinitionError
from cloche.host_tools.json_schema import annotation_of, as_dict

__all__ = ["Docstring", "Inputs", "Kind", "Parameter", "Signature", "parse_docstring", "read_signature", "with_inputs"]


_SECTION = re.compile(r"(Args|Arguments|Parameters|Returns?|Yields?|Raises|Examples?|Notes?|Warnings?|See Also):\s*$")
_ARGUMENTS = {"Args", "Arguments", "Parameters"}
_ENTRY = re.compile(r"\*{0,2}(?P<name>\w+)\s*(\([^)]*\))?\s*:\s*(?P<text>.*)$")


@dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring taken apart: ``full`` dedented text, ``lead`` before the first section, ``arguments`` by name."""

    full: str = ""
    lead: str = ""
    arguments: dict[str, str] = field(default_factory=dict[str, str])


def parse_docstring(text: str | None) -> Docstring:
    """Take a docstring apart. Text that follows no style has a ``lead`` only; None gives an empty Docstring."""
    full = inspect.cleandoc(text or "").strip()
    lead: list[str] = []
    arguments: list[str] = []
    for title, line in _by_section(full.splitlines()):
        if not title:
            lead.append(line)
        elif title in _ARGUMENTS:
            arguments.append(line)
    return Docstring(full, "\n".join(lead).strip(), _entries(arguments))


def _by_section(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each line with the title of the section it stands in; a section's own title line is left out."""
    title = ""
    for line in lines:
        match = _SECTION.match(line)
        if match:
            title = match[1]
        else:
            yield title, line


def _entries(lines: list[str]) -> dict[str, str]:
    """Join each entry's lines; a line that is indented deeper than the entries continues the one before it."""
    margin = min((_indent(line) for line in lines if line.strip()), default=0)
    entries: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        match = _ENTRY.match(line.strip()) if _indent(line) == margin else None
        if match:
            current = entries.setdefault(match["name"], [match["text"]])
        else:
            current.append(line.strip())
    return {name: " ".join(filter(None, parts)) for name, parts in entries.items()}


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


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
        """Whether a call may omit it; the collecting ``*`` and ``**`` kinds have no default."""
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


Inputs = Mapping[str, Mapping[str, Any]]
"""The arguments by name, each with ``type``, ``description`` and whether it is ``nullable``."""


def with_inputs(signature: Signature, inputs: Any, output_type: Any, tool: str) -> Signature:
    """Return the signature with what ``inputs`` says of each parameter, and ``output_type`` of the result.

    An annotation counts more than a type that is named, a description in ``inputs`` more than one in a docstring. A
    ``forward`` that takes anything, ``*args`` or ``**kwargs``, has the parameters that ``inputs`` lists. Raises
    ToolDefinitionError for inputs that are none, or that ``forward`` does not take.
    """
    described = _checked_inputs(inputs, tool)
    named = {parameter.name: parameter for parameter in signature.parameters if not parameter.collects}
    if inputs is None:
        parameters = signature.parameters
    elif len(named) < len(signature.parameters):
        parameters = tuple(sorted(_all_inputs(named, described), key=lambda parameter: parameter.has_default))
    else:
        if unknown := [name for name in described if name not in named]:
            raise ToolDefinitionError(f"tool {tool!r}", f"inputs has {unknown[0]!r}, which forward does not take")
        parameters = tuple(_joined(one, described.get(one.name, {})) for one in signature.parameters)
    returns = signature.returns
    if returns is inspect.Parameter.empty and output_type:
        returns = annotation_of({"type": output_type}, {})
    return Signature(parameters, returns)


def _checked_inputs(inputs: Any, tool: str) -> Inputs:
    if inputs is None:
        return {}
    if not isinstance(inputs, Mapping):
        raise ToolDefinitionError(f"tool {tool!r}", f"inputs must be a dict by argument, not a {type(inputs).__name__}")
    given = cast("Mapping[str, Any]", inputs)
    for name, about in given.items():
        if not name.isidentifier() or not isinstance(about, Mapping):
            problem = f"inputs[{name!r}] must be a dict with 'type' and 'description', under a name that Python takes"
            raise ToolDefinitionError(f"tool {tool!r}", problem)
    return given


def _all_inputs(named: Mapping[str, Parameter], described: Inputs) -> Iterator[Parameter]:
    for name in [*named, *(name for name in described if name not in named)]:
        about = described.get(name, {})
        missing = None if about.get("nullable") else inspect.Parameter.empty
        yield _joined(named.get(name) or Parameter(name, Kind.POSITIONAL_OR_KEYWORD, Any, missing), about)


def _joined(parameter: Parameter, about: Mapping[str, Any]) -> Parameter:
    annotation = parameter.annotation
    if annotation is Any:
        annotation = annotation_of(as_dict(dict(about)), {})
    if about.get("nullable") and annotation is not Any and annotation is not None:
        annotation = annotation | None
    description = " ".join(str(about.get("description") or parameter.description).split())
    return replace(parameter, annotation=annotation, description=description)
