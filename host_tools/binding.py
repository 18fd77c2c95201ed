"""Which parameter each value of a call belongs to: Python's own rules, with answers a model can act on."""

from collections.abc import Iterable, Sequence
from typing import Any

from cloche.host_tools.annotation_text import annotation_text
from cloche.host_tools.brief import brief
from cloche.host_tools.parameters import Kind, Parameter

__all__ = ["Binding", "signature_text"]

_SHOWN_SIGNATURE = 300
_SHOWN_NAME = 60


class Binding:
    """The parameters of one tool, ready to be matched with calls. Never changes."""

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self._parameters = tuple(parameters)
        self._positional = [p for p in parameters if p.kind in (Kind.POSITIONAL_ONLY, Kind.POSITIONAL_OR_KEYWORD)]
        self._keyword = {p.name: p for p in parameters if p.kind in (Kind.KEYWORD_ONLY, Kind.POSITIONAL_OR_KEYWORD)}
        self._rest = next((p for p in parameters if p.kind is Kind.VAR_POSITIONAL), None)
        self._others = next((p for p in parameters if p.kind is Kind.VAR_KEYWORD), None)

    def problem(self, args: Sequence[Any], kwargs: dict[str, Any]) -> str:
        """Return what is wrong with the shape of a call, naming the argument; empty if every value has a place."""
        found = self._too_many(args) or self._misplaced(len(args), kwargs) or self._missing(len(args), kwargs)
        return f"{found}; its arguments are {self._text()}" if found else ""

    def names(self, kwargs: dict[str, Any]) -> bool:
        """Return whether every keyword is the name of a parameter, so that none went into ``**kwargs``."""
        return kwargs.keys() <= self._keyword.keys()

    def places(self, count: int, kwargs: Iterable[str]) -> list[Parameter]:
        """Return the parameter of each value, ``count`` positional ones first, of a call without problems."""
        rest = [self._rest] * (count - len(self._positional))
        keywords = [self._keyword.get(name, self._others) for name in kwargs]
        return [parameter for parameter in (*self._positional[:count], *rest, *keywords) if parameter]

    def named(self, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the values of a call without problems by parameter, defaults filled in.

        ``*args`` is a list under its own name; what went into ``**kwargs`` stands beside the others.
        """
        given = dict(zip((p.name for p in self._positional), args, strict=False)) | kwargs
        rest = {self._rest.name: list(args[len(self._positional) :])} if self._rest else {}
        return {p.name: p.default for p in self._parameters if p.has_default} | given | rest

    def label(self, index: int, count: int, kwargs: Iterable[str]) -> str:
        """Return what to call the value at an index of :meth:`places` in a message: ``city``, ``names[2]``."""
        if index >= count:
            return list(kwargs)[index - count][:_SHOWN_NAME]
        if self._rest and index >= len(self._positional):
            return f"{self._rest.name}[{index - len(self._positional)}]"
        return self._positional[index].name

    def _too_many(self, args: Sequence[Any]) -> str:
        most = len(self._positional)
        if self._rest or len(args) <= most:
            return ""
        return f"takes at most {most} positional argument{'s' * (most != 1)}, got {len(args)}"

    def _misplaced(self, count: int, kwargs: dict[str, Any]) -> str:
        placed = {p.name for p in self._positional[:count]} & self._keyword.keys()
        return next(filter(None, (self._keyword_problem(name, placed) for name in kwargs)), "")

    def _keyword_problem(self, name: object, placed: set[str]) -> str:
        if not isinstance(name, str):
            return f"the names of arguments are strings, got {brief(name)}"
        if name in placed:
            return f"argument {name!r} was given twice"
        if name in self._keyword:
            return ""
        if self._others and not _is_reserved(name):
            return ""
        return f"unexpected argument {brief(name)}"

    def _missing(self, count: int, kwargs: dict[str, Any]) -> str:
        placed = {p.name for p in self._positional[:count]} | (kwargs.keys() & self._keyword.keys())
        names = [repr(p.name) for p in self._parameters if p.required and p.name not in placed]
        return f"missing argument{'s' * (len(names) > 1)} {', '.join(names)}" if names else ""

    def _text(self) -> str:
        text = signature_text(self._parameters)
        return text if len(text) <= _SHOWN_SIGNATURE else f"{text[:_SHOWN_SIGNATURE]}..."


def _is_reserved(name: str) -> bool:
    """``**kwargs`` takes any name but these, which mean something to Python when they reach an object."""
    return name in ("self", "cls") or (name.startswith("__") and name.endswith("__"))


def signature_text(parameters: Sequence[Parameter]) -> str:
    """Return the parameters as in a ``def`` line, ``(city: str, days: int = 3)``; a default that is long is cut."""
    parts: list[str] = []
    for index, parameter in enumerate(parameters):
        before = parameters[index - 1].kind if index else None
        if before is Kind.POSITIONAL_ONLY and parameter.kind is not before:
            parts.append("/")
        if parameter.kind is Kind.KEYWORD_ONLY and before not in (Kind.KEYWORD_ONLY, Kind.VAR_POSITIONAL):
            parts.append("*")
        parts.append(_one(parameter))
    if parameters and parameters[-1].kind is Kind.POSITIONAL_ONLY:
        parts.append("/")
    return f"({', '.join(parts)})"


def _one(parameter: Parameter) -> str:
    stars = {Kind.VAR_POSITIONAL: "*", Kind.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    annotated = "" if parameter.annotation is Any else f": {annotation_text(parameter.annotation)}"
    default = f" = {brief(parameter.default)}" if parameter.has_default else ""
    return f"{stars}{parameter.name}{annotated}{default}"
