"""An extension of griffe: docstrings are written to be read in the source, and become Markdown here.

``:meth:`Sandbox.restore``` becomes a link where the reference has that name, and code where it has not. A column of
````name``  what it is`` becomes a list. ``::`` before an indented block becomes ``:``.
"""

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:meth|class|func|attr|mod|exc|data):`~?([^`]+)`")
_ENTRY = re.compile(r"^((?:``[^`]+``(?:, )?)+) {2,}(.*)$")
_LITERAL = re.compile(r"^(.*)::$")


class Docstrings(griffe.Extension):
    """Rewrites each docstring once, when its object has been read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of a class, function, module or attribute."""
        docstring = obj.docstring
        if docstring is not None:
            docstring.value = "\n".join(_entries(_links(docstring.value, obj).splitlines()))


def _links(text: str, obj: griffe.Object) -> str:
    def link(match: re.Match[str]) -> str:
        name = match[1]
        try:
            path = obj.resolve(name)
        except griffe.NameResolutionError:
            path = f"cloche.{name}"
        return f'<autoref identifier="{path}" optional>`{name}`</autoref>'

    return _ROLE.sub(link, text)


def _entries(lines: list[str]) -> list[str]:
    out: list[str] = []
    inside = False
    for line in lines:
        entry = _ENTRY.match(line)
        if entry:
            if not inside and out and out[-1]:
                out.append("")
            out.append(f"- **{entry[1].replace('``', '`')}**: {entry[2]}")
            inside = True
        elif inside and line.startswith("  "):
            out.append(f"  {line.strip()}")
        else:
            if inside and line:
                out.append("")
            inside = False
            out.append(_LITERAL.sub(lambda match: f"{match[1]}:" if match[1].strip() else "", line))
    return out
