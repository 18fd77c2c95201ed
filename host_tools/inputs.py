"""The ``inputs`` and ``output_type`` of a class tool in smolagents' manner, joined with what its signature says."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from cloche.host_tools.errors import ToolDefinitionError
from cloche.host_tools.json_schema import annotation_of, as_dict
from cloche.host_tools.signature import Kind, Parameter, Signature

__all__ = ["Inputs", "with_inputs"]

Inputs = Mapping[str, Mapping[str, Any]]
"""The arguments by name, each with ``type``, ``description`` and whether it is ``nullable``."""


def with_inputs(signature: Signature, inputs: Any, output_type: Any, tool: str) -> Signature:
    """Return the signature with what ``inputs`` says of each parameter, and ``output_type`` of the result.

    An annotation counts more than a type that is named, a description in ``inputs`` more than one in a docstring. A
    ``forward`` that takes anything, ``*args`` or ``**kwargs``, has the parameters that ``inputs`` lists. Raises
    ToolDefinitionError for inputs that are none, or that ``forward`` does not take.
    """
    described = _checked(inputs, tool)
    named = {parameter.name: parameter for parameter in signature.parameters if not parameter.collects}
    if inputs is None:
        parameters = signature.parameters
    elif len(named) < len(signature.parameters):
        parameters = tuple(sorted(_all(named, described), key=lambda parameter: parameter.has_default))
    else:
        if unknown := [name for name in described if name not in named]:
            raise ToolDefinitionError(f"tool {tool!r}", f"inputs has {unknown[0]!r}, which forward does not take")
        parameters = tuple(_joined(one, described.get(one.name, {})) for one in signature.parameters)
    returns = signature.returns
    if returns is inspect.Parameter.empty and output_type:
        returns = annotation_of({"type": output_type}, {})
    return Signature(parameters, returns)


def _checked(inputs: Any, tool: str) -> Inputs:
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


def _all(named: Mapping[str, Parameter], described: Inputs) -> Iterator[Parameter]:
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
