"""Finding passages in the host's documents by words.

Okapi BM25 weighs rare words more and long texts less.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TypedDict

from cloche.host_tools.errors import ToolRejected
from cloche.host_tools.tools import Tool
from cloche.runtime.errors import ConfigurationError

__all__ = ["Bm25", "Passage", "Retriever", "words"]


# The usual values of the method: how soon more of the same word stops counting, and how much length counts.
_SATURATION = 1.5
_LENGTH = 0.75
_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """Return the words of a text in lower case; letters and digits of any script make words."""
    return _WORD.findall(text.casefold())


class Bm25:
    """An index over texts. Never changes."""

    def __init__(self, texts: Iterable[str]) -> None:
        counts = [Counter(words(text)) for text in texts]
        self._lengths = [count.total() for count in counts]
        self._mean = sum(self._lengths) / len(counts) if any(self._lengths) else 1.0
        self._places: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for number, count in enumerate(counts):
            for word, times in count.items():
                self._places[word].append((number, times))

    def best(self, query: str, limit: int) -> list[tuple[int, float]]:
        """Return the numbers and scores of the texts that hold words of the query, the best first."""
        scores: defaultdict[int, float] = defaultdict(float)
        for word in dict.fromkeys(words(query)):
            self._add(self._places.get(word, ()), scores)
        return sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:limit]

    def _add(self, places: Sequence[tuple[int, int]], scores: defaultdict[int, float]) -> None:
        rarity = math.log(1 + (len(self._lengths) - len(places) + 0.5) / (len(places) + 0.5))
        for number, times in places:
            weight = 1 - _LENGTH + _LENGTH * self._lengths[number] / self._mean
            scores[number] += rarity * times * (_SATURATION + 1) / (times + _SATURATION * weight)


_SUFFIXES = (".md", ".txt", ".rst", ".html", ".csv", ".json", ".py")
_MAX_FILE = 8 << 20
_MAX_QUERY = 10_000


class Passage(TypedDict):
    """A piece of a document; ``source`` is its name below the folder, or its number in the list."""

    source: str
    text: str
    score: float


class Retriever(Tool):
    """Find the passages of the document collection that best match the words of a query.

    Args:
        query: words that the passage is likely to contain; statements find more than questions
        count: how many passages, at most 20
    """

    name = "retrieve"

    def __init__(
        self,
        documents: str | PathLike[str] | Iterable[str],
        *,
        suffixes: Iterable[str] = _SUFFIXES,
        length: int = 1_000,
    ) -> None:
        """Index texts: those in a list, or in the files of a folder that end in ``suffixes``, links not followed.

        Documents are divided into passages of at most ``length`` characters, at paragraphs where they allow it.
        Raises ConfigurationError for a folder that does not exist or a collection without text.
        """
        named = (
            _in_folder(Path(documents), tuple(suffixes))
            if isinstance(documents, str | PathLike)
            else ((str(number), text) for number, text in enumerate(documents))
        )
        self._passages = [(name, text) for name, document in named for text in _passages(document, length)]
        if not self._passages:
            raise ConfigurationError("documents", "there is no text in them")
        self._index = Bm25(text for _, text in self._passages)

    def forward(self, query: str, count: int = 5) -> list[Passage]:
        """Search."""
        if len(query) > _MAX_QUERY:
            raise ToolRejected("ValueError", f"a query has at most {_MAX_QUERY:,} characters, this one {len(query):,}")
        found = self._index.best(query, max(1, min(count, 20)))
        return [
            Passage(source=self._passages[number][0], text=self._passages[number][1], score=round(score, 3))
            for number, score in found
        ]


def _in_folder(folder: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if not folder.is_dir():
        raise ConfigurationError("documents", f"there is no folder {str(folder)!r}")
    for path in sorted(folder.rglob("*")):
        if path.suffix in suffixes and path.is_file() and not path.is_symlink() and path.stat().st_size <= _MAX_FILE:
            yield path.relative_to(folder).as_posix(), path.read_text(encoding="utf-8", errors="replace")


def _passages(document: str, length: int) -> Iterator[str]:
    """Yield pieces: whole paragraphs as long as they fit together, and parts of those that do not fit alone."""
    piece = ""
    for paragraph in document.split("\n\n"):
        if piece and len(piece) + len(paragraph) + 2 > length:
            yield piece
            piece = ""
        *full, rest = _parts(paragraph, length)
        yield from full
        piece = f"{piece}\n\n{rest}".strip()
    if piece:
        yield piece


def _parts(paragraph: str, length: int) -> list[str]:
    """Cut at spaces where there are some."""
    parts: list[str] = []
    while len(paragraph) > length:
        cut = paragraph.rfind(" ", 1, length + 1)
        cut = length if cut < length // 2 else cut
        parts.append(paragraph[:cut].strip())
        paragraph = paragraph[cut:].strip()
    return [*filter(None, parts), paragraph.strip()]
