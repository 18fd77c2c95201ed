"""A guard against hash flooding: many dict keys or set members made to share one hash."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from .errors import MalformedValue

_KEYED: Final = frozenset((str, bytes, float, bool, type(None)))
"""Types of which only a few can share a hash, or whose hash is keyed per process."""

_FEW: Final = 24


def check_spread(keys: Iterable[object]) -> None:
    """Raise MalformedValue if putting these keys into a table would take far more comparisons than there are keys.

    `hash((-1, -1)) == hash((-2, -2))`: honest grids of coordinates collide a little, 16 to one hash in 4 dimensions.
    """
    hashes = [hash(key) for key in keys if type(key) not in _KEYED]
    if len(hashes) <= _FEW or len(set(hashes)) == len(hashes):
        return
    comparisons = sum(count * count for count in Counter(hashes).values())
    if comparisons > 16 * len(hashes) + 256:
        raise MalformedValue("keys made to collide")
