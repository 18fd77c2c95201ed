"""Text of guests, models and tools made safe to show: nothing in it can move a cursor, hide text or reorder it."""

import re

__all__ = ["harmless", "one_line"]

# C0 but for tab and newline, DEL, C1 (0x9b starts an escape sequence in eight-bit terminals), the characters that
# reorder or hide what surrounds them, line separators, and lone surrogates, which no output encoding accepts.
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)


def harmless(text: str) -> str:
    r"""Return the text with each harmful character written out, as in ``\x1b``; tabs and newlines stay.

    ``\r\n`` becomes a newline. The text can then be written to any terminal as it is.
    """
    return _HARMFUL.sub(_written_out, text.replace("\r\n", "\n"))


def one_line(text: str, width: int) -> str:
    """Return harmless text on one line of at most ``width`` characters, cut with an ellipsis."""
    # Cut before the work: an error message may be as long as its limit. The slack is for what joining takes away.
    joined = " ".join(harmless(text[: 4 * width]).split())
    shortened = len(joined) > width or len(text) > 4 * width
    return f"{joined[: width - 1]}…" if shortened else joined


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
