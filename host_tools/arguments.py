"""The arguments of a call, checked before the tool sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import PydanticUserError, ValidationError

from cloche.host_tools.annotation_text import annotation_text
from cloche.host_tools.binding import Binding
from cloche.host_tools.complaints import complaint
from cloche.host_tools.converter import Converter
from cloche.host_tools.errors import ToolDefinitionError, ToolRejected
from cloche.host_tools.parameters import Parameter
from cloche.host_tools.plain import without_guest_classes

__all__ = ["Arguments"]

# Of what is remembered of calls: how many, and of how many values. A program can invent any number of both.
_MOST_KEPT = 128
_MOST_VALUES = 16


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

    def __init__(self, parameters: Sequence[Parameter], tool: str) -> None:
        self._binding = Binding(parameters)
        self._converters = {parameter.name: _converter(parameter, tool) for parameter in parameters}
        self.good: set[tuple[Any, ...]] = set()
        self._plans: dict[tuple[Any, ...], _Plan] = {}

    def accept(self, args: list[Any], kwargs: dict[str, Any], tool: str) -> tuple[list[Any], dict[str, Any]]:
        """Return what to call the tool with; the arguments given are not changed.

        Raises ToolRejected, naming ``tool``, for arguments that do not fit, or what a custom validator raises.
        """
        # Classes and names cannot be mistaken for each other, so one flat tuple says it all.
        shape = (*map(type, args), *kwargs, *map(type, kwargs.values())) if kwargs else tuple(map(type, args))
        if shape in self.good:
            return args, kwargs
        plan = self._plans.get((len(args), *kwargs)) or self._plan(args, kwargs, tool)
        values, exact = self._convert(plan, args, kwargs, tool)
        if exact and plan.kept and len(self.good) < _MOST_KEPT:
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
        kept = len(args) + len(kwargs) <= _MOST_VALUES and self._binding.names(kwargs)
        plan = _Plan([self._converters[place.name] for place in self._binding.places(len(args), kwargs)], kept)
        if kept and len(self._plans) < _MOST_KEPT:
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
            guest_type, text = complaint(label, without_guest_classes(values[len(done)]), error)
            raise ToolRejected(guest_type, f"{tool}(): {text}") from error
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
