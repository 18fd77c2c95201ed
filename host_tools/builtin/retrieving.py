"""Finding passages in the host's documents."""

from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import TypedDict

from cloche.host_tools.base import Tool
from cloche.host_tools.builtin.bm25 import Bm25
from cloche.runtime.errors import ConfigurationError

__all__ = ["Passage", "Retriever"]

_SUFFIXES = (".md", ".txt", ".rst", ".html", ".csv", ".json", ".py")
_LARGEST_FILE = 8 << 20


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
        found = self._index.best(query, max(1, min(count, 20)))
        return [
            Passage(source=self._passages[number][0], text=self._passages[number][1], score=round(score, 3))
            for number, score in found
        ]


def _in_folder(folder: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if not folder.is_dir():
        raise ConfigurationError("documents", f"there is no folder {str(folder)!r}")
    for path in sorted(folder.rglob("*")):
        if (
            path.suffix in suffixes
            and path.is_file()
            and not path.is_symlink()
            and path.stat().st_size <= _LARGEST_FILE
        ):
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
