"""Subclasses cross as their base, read with the base's own methods."""

import time
from collections import ChainMap, Counter, OrderedDict, UserDict, deque
from enum import Enum, Flag, IntEnum, StrEnum
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pytest

from cloche.runtime.values import UnserializableError, decode, encode


class Color(Enum):
    RED = "red"
    PAIR = (1, 2)


class Level(IntEnum):
    LOW = 1
    HUGE = 2**80


class Tag(StrEnum):
    A = "a"


class Bits(Flag):
    X = 1
    Y = 2


class Liar(str):
    """A str that says something else each time it is asked."""

    __hash__ = str.__hash__

    def __str__(self) -> str:
        return "lie"

    def __eq__(self, other: object) -> bool:
        return True

    def encode(self, *_args: Any, **_kwargs: Any) -> bytes:
        return b"lie"

    def __len__(self) -> int:
        return 10**9


class LyingInt(int):
    def __int__(self) -> int:
        return 13

    __index__ = __trunc__ = __int__


class LyingList(list[Any]):
    def __iter__(self) -> Any:
        return iter(["lie"])

    def __len__(self) -> int:
        return 10**9


class LyingDict(dict[Any, Any]):
    def items(self) -> Any:
        return [("lie", "lie")]

    def __iter__(self) -> Any:
        return iter(["lie"])


class LyingBytes(bytes):
    def __bytes__(self) -> bytes:
        return b"lie"

    def __getitem__(self, _index: Any) -> Any:
        return b"lie"


class LyingTuple(tuple[Any, ...]):
    def __iter__(self) -> Any:
        return iter(("lie",))


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (time.gmtime(0), (1970, 1, 1, 0, 0, 0, 3, 1, 0)),
        (type("Own", (OrderedDict,), {"items": lambda _self: ()})(a=1), OrderedDict(a=1)),
        (type("Own", (Counter,), {"__iter__": lambda _self: iter("lie")})("aab"), Counter("aab")),
        (type("Own", (deque,), {"__iter__": lambda _self: iter("lie")})([1], 3), deque([1], 3)),
        (type("Own", (bytearray,), {"__getitem__": lambda _self, _: b"lie"})(b"a"), bytearray(b"a")),
        (Color.RED, "red"),
        (Color.PAIR, (1, 2)),
        (Level.LOW, 1),
        (Level.HUGE, 2**80),
        (Tag.A, "a"),
        (Bits.X | Bits.Y, 3),
        ({Color.RED: Level.LOW}, {"red": 1}),
        (Path("/a/b"), PurePosixPath("/a/b")),
        (PureWindowsPath("C:\\a\\b"), PurePosixPath("C:/a/b")),
        (Liar("truth"), "truth"),
        ({Liar("truth"): Liar("x")}, {"truth": "x"}),
        (LyingInt(7), 7),
        (LyingList(["truth"]), ["truth"]),
        (LyingDict(a="truth"), {"a": "truth"}),
        (LyingBytes(b"truth"), b"truth"),
        (LyingTuple((1, 2)), (1, 2)),
        (type("Real", (float,), {"__float__": lambda _self: 0.0})(1.5), 1.5),
        (type("Bag", (set,), {"__iter__": lambda _self: iter(())})({1}), {1}),
    ],
)
def test_a_subclass_arrives_as_its_base(sent: Any, received: Any) -> None:
    back = decode(encode(sent))
    assert type(back) is type(received)
    assert str.__eq__(back, received) if type(back) is str else back == received


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (range(3), "range"),
        ({}.keys(), "dict_keys"),
        ({}.values(), "dict_values"),
        ((n for n in range(3)), "generator"),
        (map(str, ()), "map"),
        (print, "builtin_function_or_method"),
        (int, "type"),
        (object(), "object"),
        (UserDict(), "UserDict"),
        (ChainMap(), "ChainMap"),
        (NotImplemented, "NotImplementedType"),
    ],
)
def test_what_does_not_cross_is_named(value: Any, name: str) -> None:
    with pytest.raises(UnserializableError, match=f"^value: cannot send a '{name}'") as caught:
        encode(value)
    assert (caught.value.path, caught.value.type_name) == ("value", name)
