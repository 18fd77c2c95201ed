"""The only facts about the outer world that a guest can ask for by itself: the time, and random bytes."""

import hashlib
import os
import time
from typing import Any

from cloche.runtime.errors import ConfigurationError

__all__ = ["Seed", "World", "parse_clock", "parse_seed"]

Seed = int | str | bytes

_BILLION = 1_000_000_000


class World:
    """Clock and entropy of one session, real or repeatable.

    With a ``seed`` the random bytes are a fixed stream (SHAKE-256 of the seed and a counter). With a ``clock``
    (seconds since the epoch) time stands still except while the guest sleeps: a sleep takes no real time and
    moves the clock by its length.
    """

    __slots__ = ("_counter", "_fixed", "_seed")

    def __init__(self, seed: bytes | None, clock: int | None) -> None:
        self._seed = seed
        self._fixed = clock
        self._counter = 0

    @property
    def has_fixed_clock(self) -> bool:
        """Whether time moves only by sleeping."""
        return self._fixed is not None

    def now(self, which: int) -> int:
        """Return nanoseconds: since the epoch for clock 0, from an arbitrary start for any other."""
        if self._fixed is not None:
            return self._fixed
        return time.time_ns() if which == 0 else time.monotonic_ns()

    def random(self, size: int) -> bytes:
        """Return ``size`` random bytes, the next ones of the stream if there is a seed."""
        if self._seed is None:
            return os.urandom(size)
        self._counter += 1
        return hashlib.shake_256(self._counter.to_bytes(8, "little") + self._seed).digest(size)

    def pass_time(self, seconds: float) -> None:
        """Move a fixed clock forward; a real one moves by itself."""
        if self._fixed is not None:
            # Rounded up: a program that slept until a moment must find that it has come.
            self._fixed += int(seconds * _BILLION) + 1

    def mark(self) -> tuple[int, int | None]:
        """Return where the world is, for :meth:`go_back`."""
        return self._counter, self._fixed

    def go_back(self, mark: tuple[int, int | None]) -> None:
        """Return to a mark: a run that was rolled back has taken nothing from the stream."""
        self._counter, self._fixed = mark


def parse_seed(seed: Any) -> bytes | None:
    """Return the seed as bytes. Raises ConfigurationError unless it is an int, text, bytes or None."""
    if seed is None or isinstance(seed, bytes):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, int | str):
        raise ConfigurationError("seed", f"a {type(seed).__name__} is not a seed: write an int, text, bytes, or None")
    # The type is part of it, so that 1 and "1" are two seeds.
    return f"{type(seed).__name__}:{seed}".encode("utf-8", "surrogatepass")


def parse_clock(clock: Any) -> int | None:
    """Return nanoseconds since the epoch, or None for ``"real"``. Raises ConfigurationError for anything else."""
    if clock == "real":
        return None
    if isinstance(clock, bool) or not isinstance(clock, int | float):
        raise ConfigurationError("clock", f"{clock!r:.60} is not a clock: write 'real', or seconds since the epoch")
    if not 0 <= clock < 1 << 33:
        raise ConfigurationError("clock", f"{clock} is not between 0 and 2**33 seconds since the epoch")
    return int(clock * _BILLION)
