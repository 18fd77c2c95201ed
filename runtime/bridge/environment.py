"""The only facts about the outer world that a guest can ask for by itself: the time, and random bytes."""

import os
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from cloche.runtime.dataclass import dataclass
from cloche.runtime.errors import ConfigurationError

__all__ = ["BILLION", "Clock", "Environment", "EnvironmentState", "FuelClock", "Seed", "parse_clock", "parse_seed"]


Seed = int | str | bytes
"""What random bytes can be made from."""

BILLION = 1_000_000_000
_MAX_START = 1 << 33
# What a clock of signed 64 bits can show, some day in 2262: one that was slept past that stands there.
_LAST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class FuelClock:
    """A clock that ticks by fuel: the same program sees the same times, and a loop that waits for time to pass ends.

    ``start`` is where it begins, in seconds since the epoch; ``rate`` how many units of fuel make one second, by
    default 1,000,000,000, which is about as fast as a real clock; with 0 time moves only while the guest sleeps.
    A sleep takes no real time and moves the clock by its length.

    Raises ConfigurationError for a start not between 0 and 2**33, or a negative rate.
    """

    start: float = 0.0
    rate: int = BILLION

    def __post_init__(self) -> None:
        if type(self.start) not in (int, float) or not 0 <= self.start < _MAX_START:
            raise ConfigurationError("clock", f"{self.start!r:.60} is not between 0 and 2**33 seconds since the epoch")
        if type(self.rate) is not int or not 0 <= self.rate < 1 << 62:
            raise ConfigurationError("clock", f"{self.rate!r:.60} is not a number of units of fuel for a second")

    @property
    def nanoseconds(self) -> int:
        """The start in nanoseconds since the epoch."""
        return int(self.start * BILLION)


Clock = float | FuelClock | Literal["real", "fuel"]
"""The real clock, one that stands at so many seconds since the epoch, or one that ticks by fuel."""


def parse_seed(seed: Any) -> bytes | None:
    """Return the seed as bytes. Raises ConfigurationError unless it is an int, text, bytes or None."""
    if seed is None or isinstance(seed, bytes):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, int | str):
        raise ConfigurationError("seed", f"a {type(seed).__name__} is not a seed: write an int, text, bytes, or None")
    # The type is part of it, so that 1 and "1" are two seeds.
    return f"{type(seed).__name__}:{seed}".encode("utf-8", "surrogatepass")


def parse_clock(clock: Any) -> FuelClock | None:
    """Return the clock, or None for the real one. Raises ConfigurationError for anything else."""
    if isinstance(clock, FuelClock):
        return clock
    if isinstance(clock, str) and clock in ("real", "fuel"):
        return None if clock == "real" else FuelClock()
    if isinstance(clock, bool) or not isinstance(clock, int | float):
        how = "write 'real', 'fuel', a FuelClock, or seconds since the epoch"
        raise ConfigurationError("clock", f"{clock!r:.60} is not a clock: {how}")
    return FuelClock(clock, rate=0)


class EnvironmentState(NamedTuple):
    """Where a session's clock and its source of random bytes stand: all it takes to continue both.

    ``seed`` and ``drawn`` are the seed and how many times bytes were drawn; ``clock`` the nanoseconds of a clock that
    is not the real one, and ``rate`` how many units of fuel make one second of it (0: it stands still); ``monotonic``
    the nanoseconds of the real monotonic clock as the guest saw it, 0 where the clock is another.
    """

    seed: bytes | None
    drawn: int
    clock: int | None
    rate: int
    monotonic: int


class Environment:
    """Clock and entropy of one session, real or repeatable.

    With a ``seed`` the random bytes are a fixed stream (SHAKE-256 of the seed and a counter). With a ``clock`` time
    moves only while the guest sleeps, which takes no real time, and with the fuel that it uses if the clock has a
    ``rate``, in units for each second: else it is 0. ``is_real`` says that both are real, so that there is nothing to
    go back to.
    """

    __slots__ = ("_clock", "_drawn", "_gauge", "_lag", "_seed", "_stopped_at", "is_real", "rate")

    def __init__(self, seed: bytes | None, clock: FuelClock | None) -> None:
        self._seed = seed
        self._drawn = 0
        self._clock = None if clock is None else clock.nanoseconds
        self.rate = 0 if clock is None else clock.rate
        self._lag = 0
        self._stopped_at: int | None = None
        self._gauge: Callable[[], int] | None = None
        self.is_real = seed is None and clock is None

    @property
    def has_fixed_clock(self) -> bool:
        """Whether time does not pass by itself."""
        return self._clock is not None

    @property
    def has_seed(self) -> bool:
        """Whether the random bytes are a fixed stream."""
        return self._seed is not None

    @property
    def is_repeatable(self) -> bool:
        """Whether nothing that the guest learns here differs from one time to the next."""
        return self.has_seed and self.has_fixed_clock

    def begin(self, gauge: Callable[[], int]) -> None:
        """Let time pass with a run's fuel; ``gauge`` returns how much it has used so far."""
        self._gauge = gauge if self.rate else None

    def end(self) -> None:
        """Keep the time that a run's fuel has made; call before its machine is closed."""
        if self._gauge is not None:
            self._clock, self._gauge = self._simulated(), None

    def now(self, which: int) -> int:
        """Return nanoseconds: since the epoch for clock 0, from an arbitrary start for any other."""
        simulated = self._simulated()
        if simulated is not None:
            return simulated
        return time.time_ns() if which == 0 else min(time.monotonic_ns() + self._lag, _LAST)

    def stop_clock(self) -> None:
        """Let the monotonic clock stand still from now on: the program is paused."""
        self._stopped_at = time.monotonic_ns()

    def start_clock(self) -> None:
        """Let the monotonic clock run again, from where it stood."""
        if self._stopped_at is not None:
            self._lag -= time.monotonic_ns() - self._stopped_at
            self._stopped_at = None

    def leave_out(self, seconds: float) -> None:
        """Let the monotonic clock be as if so much time had not passed."""
        self._lag -= int(seconds * BILLION)

    def random(self, size: int) -> bytes:
        """Return ``size`` random bytes, the next ones of the stream if there is a seed."""
        if self._seed is None:
            return os.urandom(size)
        self._drawn += 1
        # Here, as most guests draw none.
        import hashlib

        return hashlib.shake_256(self._drawn.to_bytes(8, "little") + self._seed).digest(size)

    def pass_time(self, seconds: float) -> None:
        """Move a clock that is not the real one forward, as far as there is time to show."""
        if self._clock is not None:
            # Rounded up: a program that slept until a moment must find that it has come.
            self._clock = min(self._clock + int(seconds * BILLION) + 1, _LAST)

    def mark(self) -> tuple[int, int | None]:
        """Return where the environment stands, for :meth:`go_back`."""
        return self._drawn, self._clock

    def go_back(self, mark: tuple[int, int | None]) -> None:
        """Return to a mark: a run that was rolled back has taken nothing from the stream."""
        self._drawn, self._clock = mark
        self._gauge = None

    def state(self) -> EnvironmentState:
        """Return where the environment stands, between two runs."""
        monotonic = 0 if self.has_fixed_clock else (self._stopped_at or time.monotonic_ns()) + self._lag
        return EnvironmentState(self._seed, self._drawn, self._clock, self.rate, monotonic)

    def resume(self, state: EnvironmentState) -> None:
        """Continue from there: with its seed and its clock if it has them, else with those that this one was made with.

        A real monotonic clock continues from where it stood, and so never goes back, on whichever machine this is.
        """
        if state.seed is not None:
            self._seed, self._drawn = state.seed, state.drawn
        if state.clock is not None:
            self._clock, self.rate = state.clock, state.rate
        elif not self.has_fixed_clock:
            self._lag = state.monotonic - time.monotonic_ns()
        self.is_real = self._seed is None and self._clock is None

    def _simulated(self) -> int | None:
        if self._gauge is None or self._clock is None:
            return self._clock
        return min(self._clock + self._gauge() * BILLION // self.rate, _LAST)
