"""Random state: the image is baked, so without new seeds every isolate would draw the same numbers."""

import os
import random
import sys
from collections.abc import Callable
from typing import Any

import _cloche
from cloche_guest import state
from cloche_guest.unsupported.reasons import put

__all__ = ["adopt_numpy", "install", "reseed", "rest"]

_SEED_BYTES = 32
_seed, _setstate = random.seed, random.setstate
_urandom = os.urandom
_generator: Any = vars(random)["_inst"]
# How numpy's global generator is seeded, in an image that has imported it. Its others take entropy when they are made.
_seed_numpy: Callable[..., None] | None = None
_NUMPY_BYTES = 4


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
    if _seed_numpy is not None and not state.current.chosen_numpy:
        _seed_numpy(int.from_bytes(os.urandom(_NUMPY_BYTES) if seed is None else seed[:_NUMPY_BYTES], "little"))
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
    state.current.chosen_numpy = False


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


def adopt_numpy() -> None:
    """Have numpy's global generator seeded too, if it is there, and take note of programs that choose its numbers."""
    global _seed_numpy
    numpy: Any = sys.modules.get("numpy.random")
    if numpy is None or _seed_numpy is not None:
        return
    seed, set_state = numpy.seed, numpy.set_state

    def seed_noted(seed_of_program: Any = None) -> None:
        seed(seed_of_program)
        state.current.chosen_numpy = seed_of_program is not None

    def set_state_noted(numbers: Any) -> None:
        set_state(numbers)
        state.current.chosen_numpy = True

    _seed_numpy = seed
    for module in (numpy, sys.modules["numpy.random.mtrand"]):
        put(module, seed=seed_noted, set_state=set_state_noted)
