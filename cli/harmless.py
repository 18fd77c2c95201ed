"""Text of a guest made safe to show: nothing in it can move a cursor, hide text or reorder it."""

import re

from cloche.runtime._terminal import HARMFUL

__all__ = ["harmless", "one_line"]


def harmless(text: str) -> str:
    r"""Return the text with each harmful character written out, as in ``\x1b``; tabs and newlines stay.

    ``\r\n`` becomes a newline. The text can then be written to any terminal as it is.
    """
    return HARMFUL.sub(_written_out, text.replace("\r\n", "\n"))


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
