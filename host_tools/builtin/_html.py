"""Pages as Markdown, at a cost that their size bounds.

For a parser of HTML the cost of a page grows with the square of what is wrong with it: tags that are never closed, tags
that never end, elements inside elements. So a page is taken apart first, by expressions that look at each character a
bounded number of times, and the parser sees only what is whole, short and not too deep. Of any other page the text is
shown.
"""

import html
import re
from collections import Counter
from collections.abc import Callable, Iterator

__all__ = ["is_html", "markdown_of"]

_MAX_DEPTH = 100
# Each of these writes its sign before every line within it.
_INDENTING = frozenset({"blockquote", "dl", "ol", "ul"})
_MAX_INDENTED = 12
_MAX_TAGS = 20_000
_MAX_TAG = 4_096
_COMMENT = re.compile(r"(?s)<!--.*?(?:-->|\Z)")
_UNSEEN = re.compile(r"(?is)<(script|style|noscript|template)\b.*?(?:</\1\s*>|\Z)")
# Without "<" inside, so that a row of them is not searched for its end again and again.
_TAG = re.compile(r"<[^<>]*>")
_NAME = re.compile(r"</?([a-zA-Z][a-zA-Z0-9:-]{0,40})(?=[\s/>])")
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
_OPTIONAL_END = frozenset(["dd", "dt", "li", "option", "p", "td", "th", "tr"])
_GAP = re.compile(r"\n\s*\n\s*\n+")
_LONG_SPACE = re.compile(r"(\s{100})\s+")


def is_html(text: str, kind: str) -> bool:
    """Return whether a body is HTML, by its Content-Type or by how it begins."""
    return "html" in kind or text.lstrip()[:15].lower().startswith(("<!doctype html", "<html"))


def markdown_of(page: str, convert: Callable[[str], str], limit: int) -> tuple[str, bool]:
    """Return a page as Markdown, by ``convert``, or as bare text if it cannot be parsed safely; and whether all of it.

    No more than ``limit`` characters of its text are converted.
    """
    seen = _UNSEEN.sub(" ", _COMMENT.sub(" ", page))
    tidied, whole = _tidied(seen, limit)
    if tidied is None:
        text = html.unescape(_TAG.sub(" ", seen))
        whole = len(text) <= limit
        return _GAP.sub("\n\n", text[:limit]).strip(), whole
    return _GAP.sub("\n\n", convert(tidied)).strip(), whole


def _tidied(page: str, limit: int) -> tuple[str | None, bool]:
    """Return the page with whole tags only, None if they are too many or too deep; and whether all of it."""
    nesting = _Nesting()
    parts: list[str] = []
    left = limit
    for number, (raw, tag) in enumerate(_pieces(page)):
        text = _LONG_SPACE.sub(r"\1", raw)
        parts.append(_as_text(text[:left]))
        left -= len(text)
        if left < 0:
            return "".join(parts), False
        name = _NAME.match(tag)
        if name is None:
            # Declarations and processing instructions say nothing to a reader.
            parts.append("" if tag[1:2] in ("!", "?") else _as_text(tag))
            continue
        if number > _MAX_TAGS or not nesting.allows(tag, name[1].lower()):
            return None, False
        parts.append(nesting.implied + (tag if len(tag) <= _MAX_TAG else f"{name[0]}>"))
    return "".join(parts), True


def _as_text(text: str) -> str:
    return text.replace("<", "&lt;").replace(">", "&gt;")


def _pieces(page: str) -> Iterator[tuple[str, str]]:
    """Yield each text with the tag behind it, which is empty at the end."""
    end = 0
    for tag in _TAG.finditer(page):
        yield page[end : tag.start()], tag[0]
        end = tag.end()
    yield page[end:], ""


class _Nesting:
    """The elements that are open, as the parser sees them: an end tag closes all that is open within its element."""

    def __init__(self) -> None:
        self.implied = ""
        """The end tag that a page may leave out before the tag that was noted last."""
        self._open: list[str] = []
        self._counts: Counter[str] = Counter()

    def allows(self, tag: str, name: str) -> bool:
        """Take note of a tag and return whether what is open now is not too deep."""
        self.implied = ""
        if tag.startswith("</"):
            while self._counts[name] and self._closed() != name:
                pass
        elif name not in _VOID and not tag.endswith("/>"):
            if name in _OPTIONAL_END and self._open[-1:] == [name]:
                self.implied = f"</{self._closed()}>"
            self._open.append(name)
            self._counts[name] += 1
        return len(self._open) <= _MAX_DEPTH and sum(self._counts[one] for one in _INDENTING) <= _MAX_INDENTED

    def _closed(self) -> str:
        name = self._open.pop()
        self._counts[name] -= 1
        return name
