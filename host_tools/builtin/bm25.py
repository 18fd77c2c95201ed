"""Finding texts by words: Okapi BM25, which weighs rare words more and long texts less."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

__all__ = ["Bm25", "words"]

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

    def best(self, query: str, most: int) -> list[tuple[int, float]]:
        """Return the numbers and scores of the texts that hold words of the query, the best first."""
        scores: defaultdict[int, float] = defaultdict(float)
        for word in dict.fromkeys(words(query)):
            self._add(self._places.get(word, ()), scores)
        return sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:most]

    def _add(self, places: Sequence[tuple[int, int]], scores: defaultdict[int, float]) -> None:
        rarity = math.log(1 + (len(self._lengths) - len(places) + 0.5) / (len(places) + 0.5))
        for number, times in places:
            weight = 1 - _LENGTH + _LENGTH * self._lengths[number] / self._mean
            scores[number] += rarity * times * (_SATURATION + 1) / (times + _SATURATION * weight)
