"""What a snapshot says about itself, beside the memory."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, TypeGuard

from cloche.runtime.bridge.protocol import is_dict, is_list
from cloche.runtime.bridge.world import WorldState
from cloche.runtime.budget import Budget, Spent

__all__ = ["Facts", "Told"]


class Told(NamedTuple):
    """What the guest's interpreter was told last: its caps, and the SHA-256 of its tools' specifications."""

    caps: dict[str, int] | None
    tools: str | None


@dataclass(frozen=True, slots=True)
class Facts:
    """The header of a snapshot.

    ``image`` is the SHA-256 of the guest image and ``abi`` the bridge's version; ``size`` the bytes of linear memory
    and ``stack_pointer`` the guest's own; ``tools`` the names of the session's tools, sorted; ``spent`` what it has
    used so far and ``budget`` what it may use in all its runs; ``world`` its clock and source of random bytes;
    ``told`` what its interpreter knows; ``tenant`` whose it is, or None; ``suspension`` is None, or what else it takes
    to resume a program that waits for tool calls, of values that can cross the bridge.
    """

    image: str
    abi: int
    size: int
    stack_pointer: int
    tools: tuple[str, ...]
    spent: Spent
    budget: Budget | None
    world: WorldState
    told: Told
    tenant: str | None = None
    suspension: dict[str, Any] | None = None

    def as_plain(self) -> dict[str, Any]:
        """Return the facts as a dict of what the codec of values can encode."""
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        rows = {name: list(plain[name]) for name in ("tools", "spent", "world", "told")}
        return plain | rows | {"budget": None if self.budget is None else self.budget.as_dict()}

    @classmethod
    def from_plain(cls, plain: object) -> "Facts":
        """Return the facts. Raises ValueError for anything that :meth:`as_plain` would not have made."""
        if not is_dict(plain) or plain.keys() != _CHECKS.keys():
            raise ValueError("its header does not have the fields of a snapshot")
        for name, fits in _CHECKS.items():
            if not fits(plain[name]):
                raise ValueError(f"its header's field {name!r} has another type")
        return cls(**plain | {name: make(plain[name]) for name, make in _MAKERS.items()})


def _is_count(value: Any) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < 1 << 63


def _is_text(value: Any) -> TypeGuard[str]:
    return type(value) is str


def _is_optional(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


def _is_names(value: Any) -> bool:
    return is_list(value) and all(map(_is_text, value))


def _is_spent(value: Any) -> bool:
    match value:
        case [runs, fuel, float(time), output, calls]:
            return all(map(_is_count, (runs, fuel, output, calls))) and time >= 0
        case _:
            return False


def _is_world(value: Any) -> bool:
    match value:
        case [None | bytes(), drawn, clock, rate, monotonic]:
            return all(map(_is_count, (drawn, clock or 0, rate, monotonic)))
        case _:
            return False


def _is_told(value: Any) -> bool:
    match value:
        case [caps, None | str()]:
            return caps is None or (is_dict(caps) and all(map(_is_text, caps)) and all(map(_is_count, caps.values())))
        case _:
            return False


def _is_budget(value: Any) -> bool:
    try:
        return is_dict(value) and bool(Budget(**value).as_dict() == value)
    except (TypeError, ValueError):
        return False


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "image": _is_text,
    "abi": _is_count,
    "size": _is_count,
    "stack_pointer": _is_count,
    "tools": _is_names,
    "spent": _is_spent,
    "budget": _is_optional(_is_budget),
    "world": _is_world,
    "told": _is_told,
    "tenant": _is_optional(_is_text),
    "suspension": _is_optional(is_dict),
}
_MAKERS: dict[str, Callable[[Any], Any]] = {
    "tools": tuple,
    "spent": lambda row: Spent(*row),
    "budget": lambda bounds: None if bounds is None else Budget(**bounds),
    "world": lambda row: WorldState(*row),
    "told": lambda row: Told(*row),
}
