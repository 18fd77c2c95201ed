"""Values as plain data and as text of bounded length, whatever a program or a tool made of them."""

import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from pydantic_core import from_json, to_json

from cloche.runtime.values.containers import NO_KEY, Spelling, plain_class, spelling

__all__ = [
    "Mask",
    "answer_text",
    "error_text",
    "fenced",
    "masker",
    "plain",
    "plain_in_short",
    "safe_repr",
    "safe_str",
    "shorten",
]

_MAX_DEPTH = 50
_MAX_PLAIN = 2_000


def shorten(text: str, limit: int) -> str:
    """Return the text with at most ``limit`` characters of it: the beginning, a note of what is missing, the end.

    The note comes on top of ``limit``.
    """
    if len(text) <= limit:
        return text
    head, tail = text[: limit - limit // 2], text[len(text) - limit // 2 :]
    missing = text[len(head) : len(text) - len(tail)]
    lines = missing.count("\n")
    first = head.count("\n") + 1
    where = f"lines {first} to {first + lines}" if lines else f"line {first}"
    note = f"[... {len(missing):,} of {len(text):,} characters left out here, from {where}: print less at a time ...]"
    return f"{head}\n{note}\n{tail}"


def fenced(text: str, language: str) -> str:
    """Return text as it is, in a fence of Markdown that nothing in it can end."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"


def safe_repr(value: Any, limit: int = 20_000) -> str:
    """Return the value's repr, whatever the value is: a class of its own that raises, an int too long to write, itself.

    The work is bounded too: plain containers and texts are read only as far as about ``limit`` characters; what is left
    out then shows as ``...``. Values of other classes write themselves, which is cut by :func:`shorten`.
    """
    writer = _Writer(2 * limit)
    return shorten("".join(writer.parts(value, 0)), limit)


def safe_str(value: Any, limit: int = 20_000) -> str:
    """Return text as it is, cut by :func:`shorten`, and the :func:`safe_repr` of anything else."""
    return shorten(value, limit) if type(value) is str else safe_repr(value, limit)


def answer_text(value: Any) -> str:
    """Return what ``str`` makes of an agent's answer, and the :func:`safe_repr` of one that it can make nothing of."""
    try:
        return str(value)
    except Exception:
        return safe_repr(value)


def error_text(error: BaseException) -> str:
    """Return an error's class and text; a tool's own class of errors may fail to say what it is."""
    try:
        text = str(error)
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def plain(value: Any) -> Any:
    """Return the value made of dicts, lists, text and numbers; what has no such form becomes its shortened repr."""
    try:
        # Through text: only there do nan and infinity become text, which JSON can hold.
        return from_json(to_json(value, fallback=_plain_text, inf_nan_mode="strings", bytes_mode="base64"))
    except Exception:  # a value that refers to itself, an int too long to read back, or one whose own methods raise
        return _plain_text(value)


def plain_in_short(value: Any, limit: int) -> Any:
    """Return :func:`plain` of a value whose JSON has about ``limit`` characters or fewer, else its shortened repr.

    Of a dict each value is shortened by itself. How large a value is, is found out before anything is made of it.
    """
    if _is_within(value, limit):
        return plain(value)
    if plain_class(value) in _DICTS and len(value) <= _MAX_KEYS:
        return {safe_str(key, _MAX_KEYS): plain_in_short(item, limit // 2) for key, item in value.items()}
    return safe_repr(value, limit)


def _is_within(value: Any, limit: int) -> bool:
    left, stack = limit, [value]
    while stack:
        item = stack.pop()
        left -= _MIN_TEXT
        if isinstance(item, str | bytes | bytearray):
            left -= len(item)
        elif type(item) is int:
            left -= item.bit_length() // 4
        elif isinstance(item, dict | list | tuple | set | frozenset):
            parts = cast("dict[Any, Any] | list[Any]", item)
            if len(parts) > left:
                return False
            stack.extend(parts)
            if isinstance(parts, dict):
                stack.extend(parts.values())
        if left < 0:
            return False
    return True


_DICTS = frozenset({dict})
_MAX_KEYS = 200
_MIN_TEXT = 2
"""Characters of JSON that a value takes at least, its comma included."""


def _plain_text(value: Any) -> str:
    return safe_repr(value, _MAX_PLAIN)[: 2 * _MAX_PLAIN]


Mask = Callable[[str], str] | Iterable["str | re.Pattern[str]"] | None
"""What hides secrets in text: a function from text to text, or secrets and patterns, each replaced by ``***``."""


def masker(mask: Mask) -> Callable[[Any], Any]:
    """Return a function that hides secrets in plain data: in each text of it, keys of dicts included.

    A single text is not a mask, as it would be taken for a list of letters: TypeError.
    """
    if mask is None:
        return lambda value: value
    if isinstance(mask, str):
        raise TypeError(f"mask must be a function, or a list of secrets and patterns, such as [{mask!r}]")
    hide = mask if callable(mask) else _hiding(list(mask))
    return lambda value: _masked(value, hide)


def _hiding(secrets: "list[str | re.Pattern[str]]") -> Callable[[str], str]:
    # The longest first: one may begin with another.
    texts = sorted((one for one in secrets if isinstance(one, str) and one), key=len, reverse=True)
    patterns = [re.compile("|".join(map(re.escape, texts)))] if texts else []
    patterns += [one for one in secrets if not isinstance(one, str)]

    def hide(text: str) -> str:
        for pattern in patterns:
            text = pattern.sub("***", text)
        return text

    return hide


def _masked(value: Any, hide: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, dict):
        items: dict[Any, Any] = value  # pyright: ignore[reportUnknownVariableType]
        return {_masked(key, hide): _masked(item, hide) for key, item in items.items()}
    if isinstance(value, list | tuple):
        return [_masked(item, hide) for item in cast("list[Any]", value)]
    return value


_BRACKETS: dict[type[Any], tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    dict: ("{", "}"),
}


class _Writer:
    """Writes values until its budget of characters is used up."""

    def __init__(self, budget: int) -> None:
        self._left = budget
        self._open: set[int] = set()

    def parts(self, value: Any, depth: int) -> Iterator[str]:
        kind: Any = type(value)  # pyright: ignore[reportUnknownVariableType]
        if kind not in _BRACKETS and (spelt := spelling(value)) is not None:
            yield from self._spelt(value, spelt, depth)
        elif kind not in _BRACKETS:
            text = self._leaf(value)
            self._left -= len(text)
            yield text
        elif depth >= _MAX_DEPTH or id(value) in self._open:
            yield "...".join(_BRACKETS[kind])
        elif not value:
            yield repr(value)
        else:
            self._open.add(id(value))
            yield from self._container(value, *_BRACKETS[kind], depth)
            self._open.discard(id(value))

    def _container(self, value: Any, opening: str, closing: str, depth: int) -> Iterator[str]:
        yield opening
        kind: Any = type(value)  # pyright: ignore[reportUnknownVariableType]
        separator = ""
        for item in value:
            yield separator
            if self._left <= 0:
                yield "..."
                break
            if kind is dict:
                yield from self.parts(item, depth + 1)
                yield ": "
            yield from self.parts(value[item] if kind is dict else item, depth + 1)
            separator = ", "
            self._left -= 2
        yield ",)" if kind is tuple and len(value) == 1 else closing

    def _spelt(self, value: Any, spelt: Spelling, depth: int) -> Iterator[str]:
        yield spelt.opening
        if depth >= _MAX_DEPTH or id(value) in self._open:
            yield f"...{spelt.closing}"
            return
        self._open.add(id(value))
        separator = ""
        for key, before, item in spelt.parts:
            yield separator
            if self._left <= 0:
                yield "..."
                break
            if key is not NO_KEY:
                yield from self.parts(key, depth + 1)
            yield before
            yield from self.parts(item, depth + 1)
            separator = ", "
            self._left -= 2 + len(before)
        self._open.discard(id(value))
        yield spelt.closing

    def _leaf(self, value: Any) -> str:
        kind: Any = type(value)  # pyright: ignore[reportUnknownVariableType]
        if kind in (str, bytes, bytearray) and len(value) > self._left:
            return f"{value[: max(self._left, 0)]!r}..."
        try:
            return repr(value)
        except Exception:
            return _number(value) if kind is int else _unwritten(value)


def _number(value: int) -> str:
    # Python writes no int of more than some 4,300 digits, as that takes quadratic time.
    digits = math.floor(value.bit_length() * math.log10(2)) + 1
    return f"<{'negative ' if value < 0 else ''}int of about {digits:,} digits>"


def _unwritten(value: Any) -> str:
    return f"<{type(value).__name__} object whose repr failed>"
