import dataclasses
import enum
import functools
import typing


class Color(enum.Enum):
    RED = 1
    BLUE = 2


@dataclasses.dataclass(order=True)
class Item:
    name: str
    color: Color = dataclasses.field(compare=False)
    tags: list = dataclasses.field(default_factory=list, compare=False)


class Pair(typing.NamedTuple):
    left: int
    right: int = 0


@functools.singledispatch
def show(value):
    return "other"


@show.register
def _(value: int):
    return "int"


items = [Item(n, Color(1 + i % 2)) for i, n in enumerate("dbca")]
[str(sorted(items)), dataclasses.asdict(items[0])["name"], Pair(1), show(1), show("x"), list(Color)[0].name]
