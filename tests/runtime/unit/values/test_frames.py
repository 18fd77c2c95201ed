"""Frames of pandas across the codec: what they are at the other end, with pandas and without, and forged ones."""

import contextlib
import sys
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloche.runtime.values import MalformedValue, codes, decode, encode, frames
from cloche.runtime.values.codes import MARKS


def message(*parts: Any) -> bytes:
    """Return a message of a frame as a sender might forge it."""
    from msgpack import packb

    marks = [MARKS[codes.FRAME], *parts]
    packed: bytes = packb(marks)
    return packed


@pytest.fixture
def without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pandas", raising=False)


@pytest.mark.usefixtures("without_pandas")
class TestWithoutPandas:
    def test_a_frame_is_a_dict_of_lists(self) -> None:
        day = 86_400
        columns = [
            ["numbers", [1, 2]],
            ["text", "str", ["x", None]],
            ["times", "s", None, [0, -(1 << 63)]],
            ["categories", [0, -1], ["text", "str", ["b"]], False],
            ["masked", "Int64", [1, 2], [False, True]],
            ["items", [None, "y"], [0], []],
        ]
        names = ["values", None, ["text", "str", ["n", "t", "d", "c", "m", "o"]]]
        value = decode(message("frame", 2, ["range", "row", 0, 2, 1], names, *columns))
        assert value == {
            "row": [0, 1],
            "n": [1, 2],
            "t": ["x", None],
            "d": [datetime(1970, 1, 1), None],
            "c": ["b", None],
            "m": [1, None],
            "o": [None, "y"],
        }
        assert decode(message("series", ["range", None, 0, 2, 1], "s", ["spans", "ms", [day, day]]))[0].seconds == 86
        assert decode(message("index", ["range", None, 0, 1 << 40, 1])) == range(1 << 40)

    def test_a_range_of_rows_makes_no_list_by_itself(self) -> None:
        assert (
            decode(message("frame", 1 << 40, ["range", "r", 0, 1 << 40, 1], ["values", None, ["items", [], [], []]]))
            == {}
        )


ONE = ["range", None, 0, 1, 1]
WRONG: list[Any] = [
    [], ["x"], ["frame"], ["frame", 1], ["frame", 1, [], []], ["series", ONE, "s"],
    ["frame", 1, ["range", None, 0, 1, 0], ["range", None, 0, 0, 1]],
    ["frame", 2, ["range", None, 0, 2, 1], ONE, ["numbers", [1]]],
    ["frame", 1, ONE, ["range", None, 0, 2, 1], ["numbers", [1]]],
    ["frame", 1, ONE, ["values", None, ["items", [[]], [], []]], ["numbers", [1]]],
    ["series", ONE, "s", ["numbers", ["x"]]], ["series", ONE, "s", ["times", "D", None, [1]]],
    ["series", ONE, "s", ["categories", [5], ["text", "str", ["a"]], False]],
    ["series", ONE, "s", ["categories", [0], ["categories", [0], [], False], False]],
    ["array", [1 << 62, 0], ["numbers", []]], ["array", "x", ["numbers", []]],
    ["index", ["levels", ["n"], [[3], ["numbers", [1]]]]],
]  # fmt: skip


@pytest.mark.usefixtures("without_pandas")
@pytest.mark.parametrize("parts", WRONG, ids=repr)
def test_what_does_not_fit_together_is_refused(parts: list[Any]) -> None:
    with pytest.raises(MalformedValue):
        decode(message(*parts))


def test_frames_of_many_columns_are_refused() -> None:
    empty = [MARKS[codes.FRAME], "index", ["range", None, 0, 0, 1]]
    from msgpack import packb

    with pytest.raises(MalformedValue, match="columns"):
        decode(packb([empty] * 1_000))
    assert len(decode(packb([empty] * 100))) == 100


parts = st.recursive(
    st.none()
    | st.integers(-3, 5)
    | st.sampled_from(["frame", "series", "index", "array", "range", "values", "levels", "numbers", "text", "str"])
    | st.sampled_from(["times", "s", "items", "masked", "Int64", "categories", "periods", "D", True]),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(parts, max_size=6))
def test_any_parts_are_a_value_or_refused(given_parts: list[Any]) -> None:
    with contextlib.suppress(MalformedValue):
        decode(message(*given_parts))


class TestWithPandas:
    """Where this Python has pandas: it is no part of the project's environment."""

    def test_everything_comes_back_as_it_was(self) -> None:
        pytest.importorskip("pandas")
        from tests.runtime.real.data import frames as cases

        for name, make in cases.CASES.items():
            assert not cases.differ(make(), decode(encode(make()))), name

    def test_categories_that_a_sender_could_make_collide(self) -> None:
        numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
        many = numpy.arange(10_000)
        for categories in (many[::-1], many):
            series = pandas.Series(pandas.Categorical.from_codes([0], categories=categories))
            if categories is many:
                assert decode(encode(series)).iloc[0] == 0
            else:
                with pytest.raises(MalformedValue, match="in order"):
                    decode(encode(series))

    def test_what_has_no_column_is_refused_with_a_remedy(self) -> None:
        pandas = pytest.importorskip("pandas")
        with pytest.raises(TypeError, match="astype"):
            encode(pandas.Series(pandas.arrays.SparseArray([0, 1])))
        with pytest.raises(TypeError, match="columns"):
            encode(pandas.DataFrame([[0] * (frames.MAX_COLUMNS + 1)]))
