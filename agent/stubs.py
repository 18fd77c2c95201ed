"""Tools as a model reads them: Python functions with types and a docstring."""

import textwrap
from collections.abc import Iterable
from typing import Any

from cloche.runtime.dispatch import ToolSpec

__all__ = ["stub", "stubs"]

_STARS = {2: "*", 4: "**"}
_POSITIONAL_ONLY, _VAR_POSITIONAL, _KEYWORD_ONLY = 0, 2, 3


def stubs(specs: Iterable[ToolSpec]) -> str:
    """Return the stubs of these tools, one after the other."""
    return "\n\n".join(map(stub, specs))


def stub(spec: ToolSpec) -> str:
    """Return one tool as the first lines of a function: signature and docstring, as ``help()`` shows them too."""
    kind = "async def" if spec.get("async") else "def"
    returns = f" -> {spec['returns']}" if spec["returns"] else ""
    head = f"{kind} {spec['name']}({', '.join(_parameters(spec['params']))}){returns}:"
    return "\n".join([head, textwrap.indent(_quoted(spec["doc"]) if spec["doc"] else "...", "    ")])


def _quoted(doc: str) -> str:
    text = doc.replace("\\", "\\\\").replace('"""', r"\"\"\"")
    return f'"""{text}\n"""' if "\n" in text else f'"""{text}"""'


def _parameters(params: list[list[Any]]) -> list[str]:
    shown: list[str] = []
    previous = -1
    for parameter in params:
        kind = parameter[1]
        if previous == _POSITIONAL_ONLY and kind != _POSITIONAL_ONLY:
            shown.append("/")
        if kind == _KEYWORD_ONLY and previous not in (_VAR_POSITIONAL, _KEYWORD_ONLY):
            shown.append("*")
        shown.append(_parameter(*parameter))
        previous = kind
    return [*shown, "/"] if previous == _POSITIONAL_ONLY else shown


def _parameter(name: str, kind: int, has_default: bool, default: Any, annotation: str) -> str:
    text = f"{_STARS.get(kind, '')}{name}{f': {annotation}' if annotation else ''}"
    if not has_default:
        return text
    return f"{text} = {default!r}" if annotation else f"{text}={default!r}"
