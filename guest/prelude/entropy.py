"""Random state: the image is baked, so without new seeds every isolate would draw the same numbers."""

import os
import random
from typing import Any

import _cloche
from cloche_guest import state
from cloche_guest.unsupported.reasons import put

__all__ = ["install", "reseed", "rest"]

_SEED_BYTES = 32
_seed, _setstate = random.seed, random.setstate
_urandom = os.urandom
_generator: Any = vars(random)["_inst"]


def reseed(seed: bytes | None = None) -> None:
    """Seed the ``random`` module from ``seed``, or from the host's entropy when the first number is drawn.

    SQLite draws anew from the latter. Numbers that the program chose by itself, with ``random.seed(5)``, continue where
    they were.
    """
    if not state.current.chosen_numbers:
        if seed is not None:
            _seed(int.from_bytes(seed, "little"))
        else:
            _seed_later()
    _cloche.reseed()


def _seed_later() -> None:
    _cloche.seed_later(_generator)
    if _generator.gauss_next is not None:
        _generator.gauss_next = None


def rest() -> None:
    """Be the same in each image, and as before any program chose its numbers."""
    _seed(0)
    _seed_later()
    state.current.chosen_numbers = False


def install() -> None:
    """Take note of programs that choose their numbers."""
    put(random, seed=_seed_noted, setstate=_setstate_noted)


def _seed_noted(a: Any = None, version: int = 2) -> None:
    """Do what ``random.seed`` does, and take note of it."""
    _seed(a, version)
    state.current.chosen_numbers = a is not None


def _setstate_noted(numbers: Any) -> None:
    """Do what ``random.setstate`` does, and take note of it."""
    _setstate(numbers)
    state.current.chosen_numbers = True
