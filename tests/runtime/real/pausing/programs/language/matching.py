from dataclasses import dataclass


@dataclass
class Point:
    x: int
    y: int


def kind(value):
    match value:
        case Point(0, 0):
            return "origin"
        case Point(x, y) if x == y:
            return f"diagonal {x}"
        case [first, *rest] if rest:
            return [kind(first), *map(kind, rest)]
        case {"a": a, **others}:
            return (kind(a), sorted(others))
        case str() | bytes():
            return "text"
        case _:
            return repr(value)


[kind(v) for v in [Point(0, 0), Point(2, 2), Point(1, 2), [1, "a", [b"b", {"a": 1, "c": 2}]], None] * 5]
