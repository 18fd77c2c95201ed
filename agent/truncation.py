"""Long text cut in the middle, saying what was cut."""

__all__ = ["shorten"]


def shorten(text: str, most: int) -> str:
    """Return the text with at most ``most`` characters of it: the beginning, a note of what is missing, the end.

    The note comes on top of ``most``.
    """
    if len(text) <= most:
        return text
    head, tail = text[: most - most // 2], text[len(text) - most // 2 :]
    missing = text[len(head) : len(text) - len(tail)]
    lines = missing.count("\n")
    first = head.count("\n") + 1
    where = f"lines {first} to {first + lines}" if lines else f"line {first}"
    note = f"[... {len(missing):,} of {len(text):,} characters left out here, from {where}: print less at a time ...]"
    return f"{head}\n{note}\n{tail}"
