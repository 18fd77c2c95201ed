"""What the guest is told of a tool: the material for a real function with signature and help text."""

from pathlib import PurePath
from typing import Any

from cloche.host_tools.annotation_text import annotation_text
from cloche.host_tools.parameters import Parameter, Signature
from cloche.host_tools.records import describe_types
from cloche.runtime.dispatch import ToolSpec
from cloche.runtime.values import ValueCodecError, encode

__all__ = ["help_text", "tool_spec"]

_LARGEST_DEFAULT = 1_024


def tool_spec(name: str, signature: Signature, doc: str, *, is_async: bool) -> ToolSpec:
    """Return the spec of a tool under ``name``; every value in it can cross the bridge."""
    return {
        "name": name,
        "params": [_parameter(parameter) for parameter in signature.parameters],
        "returns": _annotation(signature.returns),
        "doc": doc,
        "async": is_async,
    }


def help_text(documentation: str, signature: Signature, described: dict[str, str]) -> str:
    """Return what ``help(tool)`` shows: the documentation, what it leaves unsaid of arguments, and their types.

    ``described`` are the arguments the documentation already explains.
    """
    missing = [p for p in signature.parameters if p.description and p.name not in described]
    arguments = "\n".join(["Args:", *(f"    {p.name}: {p.description}" for p in missing)]) if missing else ""
    types = describe_types((p.annotation for p in signature.parameters), signature.returns)
    return "\n\n".join(filter(None, [documentation, arguments, types]))


def _parameter(parameter: Parameter) -> list[Any]:
    shown = _shown_default(parameter.default) if parameter.has_default else None
    annotation = "" if parameter.annotation is Any else annotation_text(parameter.annotation)
    return [parameter.name, int(parameter.kind), parameter.has_default, shown, annotation]


def _annotation(annotation: Any) -> str:
    return "" if annotation is Signature(()).returns else annotation_text(annotation)


def _shown_default(default: Any) -> Any:
    """Return the default if it can cross and is small, else None: the guest then knows that there is one.

    Paths are not shown either: as a default they are places on the host.
    """
    if isinstance(default, PurePath):
        return None
    try:
        encode(default, limit=_LARGEST_DEFAULT)
    except ValueCodecError:
        return None
    return default
