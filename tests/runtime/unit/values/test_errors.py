"""What the sender refuses, how it says so, and that it stays usable."""

import socket
import threading
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from importlib import import_module
from typing import Any

import pytest

from cloche.runtime.values import UnserializableError, ValueCodecError, ValueTooLarge, decode, encode
from cloche.runtime.values.codes import MAX_DEPTH


@pytest.fixture(autouse=True)
def _still_usable() -> Any:
    yield
    assert decode(encode([1, (2,), "x"])) == [1, (2,), "x"]


@dataclass
class Row:
    cells: Any


@pytest.mark.parametrize(
    ("wrap", "path"),
    [
        (lambda bad: bad, "result"),
        (lambda bad: {"rows": [1, 2, 3, bad]}, "result['rows'][3]"),
        (lambda bad: [{"a": (0, {1: bad})}], "result[0]['a'][1][1]"),
        (lambda bad: {bad}, "result{…}"),
        (lambda bad: {bad: 1}, "result key <socket>"),
        (lambda bad: Row({b"k": bad}), "result.cells[b'k']"),
        (lambda bad: {"k" * 60: bad}, "result['" + "k" * 39 + "…]"),
        (lambda bad: {10**100: bad}, "result[<int>]"),
    ],
)
def test_the_path_and_type_are_named(wrap: Any, path: str) -> None:
    with socket.socket() as bad, pytest.raises(UnserializableError) as caught:
        encode(wrap(bad), where="result")
    assert isinstance(caught.value, TypeError)
    assert (caught.value.path, caught.value.type_name) == (path, "socket")
    assert str(caught.value).startswith(f"{path}: cannot send a 'socket'")


def test_cycles() -> None:
    lists: list[Any] = [0]
    lists.append({"again": lists})
    with pytest.raises(UnserializableError, match=r"^value\[1\]\['again'\]: cannot send a 'list' that contains itself"):
        encode(lists)
    row = Row([])
    row.cells.append(row)
    with pytest.raises(UnserializableError, match=r"^value\.cells\[0\]: cannot send a 'Row' that contains itself"):
        encode(row)


def test_one_object_twice_is_no_cycle() -> None:
    one = [1]
    assert decode(encode([one, one, {"a": one}])) == [[1], [1], {"a": [1]}]


def nested(levels: int, wrap: Any) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = wrap(value)
    return value


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: (v,), lambda v: {"k": v}, Row])
@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 1_000, 3_000])
def test_too_deep(wrap: Any, levels: int) -> None:
    with pytest.raises(UnserializableError, match=f"nested more than {MAX_DEPTH} levels|contains itself"):
        encode(nested(levels, wrap))


def test_very_deep_does_not_touch_the_c_stack() -> None:
    with pytest.raises(UnserializableError, match="levels deep"):
        encode(nested(100_000, lambda v: [v]))


@pytest.mark.parametrize(
    "wrap", [lambda v: [v, v], lambda v: (v, v), lambda v: {"a": v, "b": v}, lambda v: Row([v, v])]
)
@pytest.mark.parametrize("limit", [None, 1 << 20])
def test_shared_parts_that_expand_beyond_all_bounds(
    wrap: Any, limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The bound without a limit is the same count, only larger: sixteen million records take 20 seconds to refuse.
    monkeypatch.setattr(import_module("cloche.runtime.values.codec"), "_MAX_ITEMS", 1 << 19)
    with pytest.raises(ValueTooLarge):
        encode(nested(60, wrap), limit=limit)


def test_wide_sharing() -> None:
    row = [0] * 1_000_000
    with pytest.raises(ValueTooLarge):
        encode([row] * 1_000_000)
    with pytest.raises(ValueTooLarge):
        encode([(row,)] * 1_000_000, limit=1 << 24)


def test_the_limit_counts_bytes() -> None:
    data = encode(["x" * 100])
    assert encode(["x" * 100], limit=len(data)) == data
    for value in (["x" * 100], ["x" * 100_000], "\ud800" * 100):
        with pytest.raises(ValueTooLarge, match=r"^result: \S+ bytes \(at most 102\)") as caught:
            encode(value, where="result", limit=len(data) - 1)
        assert caught.value.path == "result"


@pytest.mark.parametrize(
    "value",
    [1 << (8 << 20), Decimal("1E+999999999"), Decimal("1E-999999999"), Decimal("1" * 20_001), Fraction(1, 10**5000)],
    ids=lambda value: type(value).__name__,
)
def test_numbers_beyond_the_caps(value: Any) -> None:
    with pytest.raises(ValueTooLarge, match=r"^value\['n'\]: an? ") as caught:
        encode({"n": value})
    assert caught.value.path == "value['n']"


def test_a_signalling_nan_is_refused() -> None:
    with pytest.raises(UnserializableError, match=r"^value: "):
        encode(Decimal("sNaN"))


def test_a_memoryview_with_gaps() -> None:
    with pytest.raises(UnserializableError, match=r"^value\[0\]: cannot send a memoryview with gaps"):
        encode([memoryview(b"abcd")[::2]])


def test_encoding_from_within_an_encoding() -> None:
    class Nosy:
        @property
        def inner(self) -> bytes:
            return encode([1, 2, 3])

    Record: Any = dataclass(type("Record", (Nosy,), {"__annotations__": {"inner": Any}, "inner": Nosy.inner}))
    value = object.__new__(Record)
    assert decode(encode([b"before", value, b"after"])) == [b"before", {"inner": encode([1, 2, 3])}, b"after"]


def test_threads_do_not_share_a_buffer() -> None:
    failures: list[Any] = []

    def work(seed: int) -> None:
        value = [(seed, [seed] * 50, {"k": (seed,)})] * 20
        for _ in range(200):
            if decode(encode(value)) != value:
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_every_failure_is_of_the_family() -> None:
    class Bomb:
        __dataclass_fields__ = 3

    for value in (Bomb(), type("E", (), {"model_fields": {"x": 1}})(), type("D", (dict,), {"__class__": int})):
        with pytest.raises(ValueCodecError):
            encode([value])
