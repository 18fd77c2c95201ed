from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cloche.cli.output import brief_repr, full_repr

values = st.recursive(
    st.none() | st.integers() | st.text() | st.binary() | st.floats(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(values, st.integers(1, 100))
def test_brief_fits_on_one_line(value: Any, width: int) -> None:
    shown = brief_repr(value, width)
    assert len(shown) <= width
    assert shown.isprintable() or "…" in shown


def test_small_values_are_shown_whole() -> None:
    assert brief_repr({"a": [1, 2.5, None]}, 80) == "{'a': [1, 2.5, None]}"
    assert full_repr({"a": (1, "x")}) == "{'a': (1, 'x')}"


def test_an_int_too_long_for_decimal_is_still_shown() -> None:
    assert full_repr(1 << 100_000) == "<int of 100001 bits>"
    assert full_repr([1 << 100_000]) == "[<int of 100001 bits>]"
    assert brief_repr([1 << 100_000], 80) == "[<int of 100001 bits>]"


def test_brief_costs_little_for_large_values() -> None:
    assert brief_repr([0] * 1_000_000, 200) == "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...]"
    assert brief_repr(b"\xff" * 1_000_000, 10).startswith("b'")


def test_a_repr_that_fails_or_tricks_is_harmless() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ValueError("no")

    class Tricky:
        def __repr__(self) -> str:
            return "\x1b[2J"

    assert "Broken" in full_repr(Broken())
    assert full_repr(Tricky()) == r"\x1b[2J"
