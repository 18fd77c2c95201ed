"""Which characters of a guest's or a model's text may not reach a terminal as they are."""

import re

__all__ = ["HARMFUL"]


# C0 but for tab and newline, DEL, C1 (0x9b starts an escape sequence in eight-bit terminals), the characters that
# reorder or hide what surrounds them, line separators, and lone surrogates, which no output encoding accepts.
HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
