"""A lower bound for a value's size on the wire, before anything is written.

A list of references to one list can stand for more items than there is memory: `x = []`, then sixty times `x = [x, x]`.
msgpack's packer would write them all without ever asking, so they are counted first, a level at a time, in C.
"""

from collections.abc import Collection
from gc import get_referents
from typing import Any, Final

from .codes import MAX_DEPTH
from .errors import SizeExceeded, UnserializableError

_CONTAINERS: Final = frozenset((list, dict, tuple, set, frozenset))


_FEW: Final = 16
_LEVELS: Final = 4


def count_items(value: object, room: int) -> int:
    """The items in exact lists, dicts, tuples and sets, all levels; each takes a byte or more on the wire.

    0 for a value of a few dozen. Raises SizeExceeded above `room` items and UnserializableError below MAX_DEPTH levels
    (so for every cycle).
    """
    few = get_referents(value)
    for _ in range(_LEVELS):  # most messages are small and flat: looked through here in a few hundred nanoseconds
        if not few:
            return 0
        if len(few) > _FEW:
            break
        few = get_referents(*few)
    return _count_by_level(value, room)


def _count_by_level(value: object, room: int) -> int:
    level: list[Collection[Any]] = [value] if type(value) in _CONTAINERS else []  # type: ignore[list-item]
    items = 0
    for _ in range(MAX_DEPTH + 1):
        if not level:
            return items
        items += sum(map(len, level))
        if items > room:
            raise SizeExceeded(f"more than {room:,} bytes")
        level = [item for item in get_referents(*level) if type(item) in _CONTAINERS]
    raise UnserializableError(f"nested more than {MAX_DEPTH} levels deep, or inside itself")
