"""Long observations."""

from hypothesis import given
from hypothesis import strategies as st

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
