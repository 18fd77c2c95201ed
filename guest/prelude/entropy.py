"""Random state: the image is baked, so without new seeds every isolate would draw the same numbers."""

import os
import random
from typing import Any

import _cloche
from cloche_guest.unsupported.reasons import put

__all__ = ["install", "reseed", "rest"]

_SEED_BYTES = 32
_seed, _setstate = random.seed, random.setstate
_urandom = os.urandom
_is_own = False


def reseed(seed: bytes | None = None) -> None:
    """Seed the ``random`` module from ``seed``, or from the host's entropy; SQLite draws anew from the latter.

    Numbers that the program chose by itself, with ``random.seed(5)``, continue where they were.
    """
    if not _is_own:
        _seed(int.from_bytes(_urandom(_SEED_BYTES) if seed is None else seed, "little"))
    _cloche.reseed()


def rest() -> None:
    """Be the same in each image, and as before any program chose its numbers."""
    global _is_own
    _seed(0)
    _is_own = False


def install() -> None:
    """Take note of programs that choose their numbers."""
    put(random, seed=_seed_noted, setstate=_setstate_noted)


def _seed_noted(a: Any = None, version: int = 2) -> None:
    """Do what ``random.seed`` does, and take note of it."""
    global _is_own
    _seed(a, version)
    _is_own = a is not None


def _setstate_noted(state: Any) -> None:
    """Do what ``random.setstate`` does, and take note of it."""
    global _is_own
    _setstate(state)
    _is_own = True
