"""Random state: the image is baked, so without new seeds every isolate would draw the same numbers."""

import os
import random

import _cloche

__all__ = ["reseed"]

_SEED_BYTES = 32
_seed = random.seed
_urandom = os.urandom


def reseed(seed: bytes | None = None) -> None:
    """Seed the ``random`` module from ``seed``, or from the host's entropy; SQLite draws anew from the latter."""
    _seed(int.from_bytes(_urandom(_SEED_BYTES) if seed is None else seed, "little"))
    _cloche.reseed()
