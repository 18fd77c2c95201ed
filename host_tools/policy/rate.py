"""Rates: how many calls were made lately."""

import threading
from collections import deque
from time import monotonic

from cloche.runtime.errors import ConfigurationError

__all__ = ["Rate"]


class Rate:
    """At most ``calls`` in any ``seconds`` (default 1), over all runs and threads of the process.

    The same object in several policies is one rate that they share. Raises ConfigurationError for numbers that
    are not positive.
    """

    def __init__(self, calls: int, seconds: float = 1.0) -> None:
        if not (calls > 0 and seconds > 0):
            raise ConfigurationError("rate", f"{calls} calls in {seconds} s: both have to be greater than 0")
        self.calls = calls
        self.seconds = seconds
        self._lock = threading.Lock()
        self._made: deque[float] = deque()

    def take(self) -> float:
        """Count one more call and return 0; or return the seconds until there is room for it, and count nothing."""
        with self._lock:
            now = monotonic()
            while self._made and self._made[0] <= now - self.seconds:
                self._made.popleft()
            if len(self._made) >= self.calls:
                return self._made[0] + self.seconds - now
            self._made.append(now)
            return 0.0

    def __repr__(self) -> str:
        return f"Rate({self.calls}, {self.seconds:g})"
