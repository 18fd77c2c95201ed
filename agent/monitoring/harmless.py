"""Text of models, tools and guests made safe to show on a terminal."""

from cloche.runtime._terminal import HARMFUL

__all__ = ["harmless"]


def harmless(text: str) -> str:
    r"""Return the text with each harmful character written out, as in ``\u202e``."""
    return HARMFUL.sub(lambda match: f"\\u{ord(match[0]):04x}", text.replace("\r\n", "\n"))
