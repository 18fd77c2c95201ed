"""The clocks and seeds that a caller can choose, and what they are made into."""

from dataclasses import dataclass
from typing import Any, Literal

from cloche.runtime.errors import ConfigurationError

__all__ = ["BILLION", "Clock", "FuelClock", "Seed", "parse_clock", "parse_seed"]

Seed = int | str | bytes
"""What random bytes can be made from."""

BILLION = 1_000_000_000
_LATEST = 1 << 33


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
        if type(self.start) not in (int, float) or not 0 <= self.start < _LATEST:
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
