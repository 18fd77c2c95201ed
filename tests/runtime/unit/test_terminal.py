from hypothesis import given
from hypothesis import strategies as st

from cloche.runtime._terminal import harmless, one_line


@given(st.text())
def test_no_character_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = harmless(text)
    assert all(character in "\t\n" or ord(character) >= 32 for character in shown)
    assert not set(shown) & {"\x7f", "\x9b", "\u202e", "\u2066", "\u2028", "\ufeff"}
    shown.encode("utf-8")


@given(st.text(st.characters(categories=["L", "N", "P", "Zs"])))
def test_ordinary_text_stays(text: str) -> None:
    assert harmless(text) == text


def test_escapes_are_written_out() -> None:
    assert harmless("\x1b[2Jred\x9b\u202e") == r"\x1b[2Jred\x9b\u202e"
    assert harmless("\ud800\U000e0041") == r"\ud800\U000e0041"


def test_windows_line_ends_become_newlines_and_a_lone_return_is_shown() -> None:
    assert harmless("a\r\nb\rc") == "a\nb\\x0dc"


@given(st.text(), st.integers(1, 50))
def test_one_line_fits(text: str, width: int) -> None:
    line = one_line(text, width)
    assert len(line) <= width
    assert "\n" not in line


def test_a_cut_line_says_so() -> None:
    assert one_line("one\n  two   three", 20) == "one two three"
    assert one_line("x" * 1_000_000, 5) == "xxxx…"
    assert one_line(" " * 1000 + "far", 10).endswith("…")
