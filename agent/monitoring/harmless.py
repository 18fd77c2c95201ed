"""Text of models, tools and guests made safe to show on a terminal."""

import re

__all__ = ["harmless"]

# Controls but tab and newline, what reorders or hides text, line separators and lone surrogates.
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)


def harmless(text: str) -> str:
    r"""Return the text with each harmful character written out, as in ``\u202e``."""
    return _HARMFUL.sub(lambda match: f"\\u{ord(match[0]):04x}", text.replace("\r\n", "\n"))
