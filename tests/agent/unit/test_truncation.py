"""Long observations."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.agent import values
from cloche.agent.values import shorten


def test_short_text_is_left_alone() -> None:
    assert shorten("abc", 3) == "abc"


def test_what_is_cut_is_told() -> None:
    text = "\n".join(f"line {number}" for number in range(1, 1001))
    cut = shorten(text, 100)
    assert cut.startswith("line 1\nline 2\n")
    assert cut.endswith("line 999\nline 1000")
    assert f"[... {len(text) - 100:,} of {len(text):,} characters left out here, from lines 8 to 995" in cut


@given(st.text(max_size=300), st.integers(min_value=1, max_value=300))
def test_head_and_tail_are_the_texts_own(text: str, most: int) -> None:
    cut = shorten(text, most)
    assert cut == text or (cut.startswith(text[: most - most // 2]) and cut.endswith(text[len(text) - most // 2 :]))
    assert len(cut) <= most + 200


def test_large_values_are_cut_before_they_are_made_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    def note(value: Any) -> Any:
        made.append(value)
        return value

    monkeypatch.setattr(values, "plain", note)
    small = {"a": [1, "x"], "b": b"y"}
    assert values.plain_in_short(small, 1_000) == small
    assert made == [small]
    larges: list[Any] = [[[]] * 1_000_000, "x" * 1_000_000, {str(key): key for key in range(100_000)}, [10**6000] * 500]
    for large in larges:
        assert len(values.plain_in_short(large, 1_000)) < 1_500
        short = values.plain_in_short({"args": [large], "note": "kept"}, 1_000)
        assert short["note"] == "kept"
        assert len(str(short)) < 1_500
    assert len(str(made)) < 1_000
