"""The arguments of a call, checked before the tool sees them.

They are bound to parameters by Python's own rules and converted; complaints are worded for a model to act on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import PydanticUserError, ValidationError
from pydantic_core import ErrorDetails

from cloche.host_tools.convert import Converter
from cloche.host_tools.display import annotation_text, brief, brief_with_type
from cloche.host_tools.errors import ToolDefinitionError, ToolRejected
from cloche.host_tools.signature import Kind, Parameter
from cloche.runtime.values.containers import plain_class

__all__ = ["Arguments", "Binding", "complaint", "signature_text"]


_SHOWN_SIGNATURE = 300
_SHOWN_NAME = 60


class Binding:
    """The parameters of one tool, ready to be matched with calls. Never changes.

    ``reserved`` are names that ``**kwargs`` does not take, besides those of the parameters.
    """

    def __init__(self, parameters: Sequence[Parameter], reserved: Iterable[str] = ()) -> None:
        self._parameters = tuple(parameters)
        self._positional = [p for p in parameters if p.kind in (Kind.POSITIONAL_ONLY, Kind.POSITIONAL_OR_KEYWORD)]
        self._keyword = {p.name: p for p in parameters if p.kind in (Kind.KEYWORD_ONLY, Kind.POSITIONAL_OR_KEYWORD)}
        self._rest = next((p for p in parameters if p.kind is Kind.VAR_POSITIONAL), None)
        self._others = next((p for p in parameters if p.kind is Kind.VAR_KEYWORD), None)
        # What goes into **kwargs stands beside the parameters for whoever judges or records a call, so it cannot
        # have the name of one: `def read(path, /, **options)` would be judged by the other `path`.
        self._taken = {p.name for p in parameters} | set(reserved)

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
        limit = len(self._positional)
        if self._rest or len(args) <= limit:
            return ""
        return f"takes at most {limit} positional argument{'s' * (limit != 1)}, got {len(args)}"

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
        if self._others and name not in self._taken and not _is_reserved(name):
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


_SHOWN = 3
# Describing an error costs about 5 us and 800 bytes, and models nested in models can still collect many.
_DESCRIBED = 1_000
_MAX_MESSAGE = 300
_MAPPINGS = frozenset({dict})
_SEQUENCES = frozenset({list, tuple})
_ABSENT = {"missing", "missing_argument"}
_ABOUT_TYPE = _ABSENT | {"extra_forbidden", "is_instance_of", "none_required", "unexpected_keyword_argument"}


def complaint(label: str, value: object, error: ValidationError) -> tuple[str, str]:
    """Return the guest's exception class, ``"TypeError"`` or ``"ValueError"``, and the text of what is wrong.

    ``label`` names the argument and ``value`` is what came for it. The text is
    ``argument 'city': Input should be a valid string, got 3 (int)``, for up to three errors; it is a TypeError
    if each of them is about a class, a missing or an unexpected part.
    """
    if error.error_count() > _DESCRIBED:
        return "TypeError", f"argument {label!r}: {error.error_count()} parts of it are wrong"
    details = error.errors(include_url=False, include_context=False)
    texts = [_text(label, value, detail) for detail in details[:_SHOWN]]
    if len(details) > _SHOWN:
        texts.append(f"and {len(details) - _SHOWN} more")
    return _guest_type(details), "; ".join(texts)


def _guest_type(details: Sequence[ErrorDetails]) -> str:
    return "TypeError" if all(_is_about_type(detail["type"]) for detail in details) else "ValueError"


def _is_about_type(kind: str) -> bool:
    return kind.endswith("_type") or kind in _ABOUT_TYPE


def _text(label: str, value: object, detail: ErrorDetails) -> str:
    message = detail["msg"][:_MAX_MESSAGE]
    absent = detail["type"] in _ABSENT
    path = _path(value, detail["loc"][:-1] if absent else detail["loc"])
    if absent:
        return f"argument {label + path + _step(detail['loc'][-1])!r}: {message}"
    return f"argument {label + path!r}: {message}, got {brief_with_type(detail['input'])}"


def _path(value: Any, location: Sequence[int | str]) -> str:
    """Spell a location as in ``.items[2].price``; pydantic's own marks, such as a union's members, are no steps."""
    path = ""
    for step in location:
        known, value = _inside(value, step)
        path += _step(step) if known else ""
    return path


def _inside(value: Any, step: int | str) -> tuple[bool, Any]:
    if plain_class(value) in _MAPPINGS and step in value:
        return True, value[step]
    if plain_class(value) in _SEQUENCES and isinstance(step, int) and step < len(value):
        return True, value[step]
    return False, value


def _step(step: int | str) -> str:
    if isinstance(step, str) and step.isidentifier() and len(step) <= 60:
        return f".{step}"
    return f"[{brief(step)}]"


# Of what is remembered of calls: how many, and of how many values. A program can invent any number of both.
_MAX_KEPT = 128
_MAX_VALUES = 16
_MAX_ARGUMENTS = 10_000


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to do with each value of a call, positional ones first; ``kept`` if such calls are remembered."""

    converters: list[Converter]
    kept: bool


class Arguments:
    """Checks and converts the arguments of one tool. Safe to use from several threads at once.

    A call's *shape* is the classes of its values and the names of its keywords. Where the annotations ask for
    nothing but classes (``int``, ``str | None``, ``Any``), the shape alone decides, so shapes found good are
    remembered and the next such call costs one look into a set. Otherwise the *plan*, which depends on the
    number of values and the names only, is remembered and each value is converted.

    ``good`` holds those shapes: the classes of the positional values, the names, and the classes of the named ones.
    """

    def __init__(self, parameters: Sequence[Parameter], tool: str, reserved: Iterable[str] = ()) -> None:
        self._binding = Binding(parameters, reserved)
        self._converters = {parameter.name: _converter(parameter, tool) for parameter in parameters}
        self.good: set[tuple[Any, ...]] = set()
        self._plans: dict[tuple[Any, ...], _Plan] = {}

    def accept(self, args: list[Any], kwargs: dict[str, Any], tool: str) -> tuple[list[Any], dict[str, Any]]:
        """Return what to call the tool with; the arguments given are not changed.

        Raises ToolRejected, naming ``tool``, for arguments that do not fit, or what a custom validator raises.
        """
        if len(args) + len(kwargs) > _MAX_ARGUMENTS:
            raise ToolRejected(
                "TypeError", f"{tool}(): takes at most {_MAX_ARGUMENTS:,} arguments, send them as a list"
            )
        # Classes and names cannot be mistaken for each other, so one flat tuple says it all.
        shape = (*map(type, args), *kwargs, *map(type, kwargs.values())) if kwargs else tuple(map(type, args))
        if shape in self.good:
            return args, kwargs
        plan = self._plans.get((len(args), *kwargs)) or self._plan(args, kwargs, tool)
        values, exact = self._convert(plan, args, kwargs, tool)
        if exact and plan.kept and len(self.good) < _MAX_KEPT:
            self.good.add(shape)
        if not kwargs:
            return values, kwargs
        return values[: len(args)], dict(zip(kwargs, values[len(args) :], strict=True))

    def named(self, args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return accepted arguments by name; see :meth:`Binding.named`."""
        return self._binding.named(args, kwargs)

    def _plan(self, args: list[Any], kwargs: dict[str, Any], tool: str) -> _Plan:
        problem = self._binding.problem(args, kwargs)
        if problem:
            raise ToolRejected("TypeError", f"{tool}(): {problem}")
        # Names that go into **kwargs may be of any length, so calls with such names are not kept.
        kept = len(args) + len(kwargs) <= _MAX_VALUES and self._binding.names(kwargs)
        plan = _Plan([self._converters[place.name] for place in self._binding.places(len(args), kwargs)], kept)
        if kept and len(self._plans) < _MAX_KEPT:
            self._plans[len(args), *kwargs] = plan
        return plan

    def _convert(self, plan: _Plan, args: list[Any], kwargs: dict[str, Any], tool: str) -> tuple[list[Any], bool]:
        """Return the converted values, and whether a look at each one's class was enough."""
        values = [*args, *kwargs.values()]
        done: list[Any] = []
        exact = True
        try:
            for converter, value in zip(plan.converters, values, strict=True):
                fits = type(value) in converter.exact
                done.append(value if fits else converter.convert(value))
                exact = exact and fits
        except ValidationError as error:
            label = self._binding.label(len(done), len(args), kwargs)
            guest_type, text = complaint(label, values[len(done)], error)
            argument = self._binding.places(len(args), kwargs)[len(done)].name
            raise ToolRejected(guest_type, f"{tool}(): {text}", argument) from error
        return done, exact


def _converter(parameter: Parameter, tool: str) -> Converter:
    try:
        return Converter(parameter.annotation)
    except (PydanticUserError, TypeError, NameError) as error:
        wanted = annotation_text(parameter.annotation)
        problem = (
            f"argument {parameter.name!r} has the type {wanted}, which pydantic cannot check "
            f"({_first_line(error)}); use plain types, dataclasses, pydantic models, TypedDicts or enums"
        )
        raise ToolDefinitionError(f"tool {tool!r}", problem) from error


def _first_line(error: Exception) -> str:
    return str(getattr(error, "message", error)).partition("\n")[0].rstrip(".")
