"""When to ask again, and how fast to ask at all."""

import random
import threading
import time

from cloche.agent.errors import ModelError, ModelRateLimited
from cloche.runtime.errors import ConfigurationError

__all__ = ["Attempts", "Pace"]

_FIRST = 0.5
_LONGEST = 30.0


class Attempts:
    """Counts one request's failures and says how long to wait after each.

    The waits double from half a second to thirty, each shortened by up to a half at random, so that many agents do not
    come back at once. A provider's own word on when to come back is kept to, up to a minute.
    """

    def __init__(self, retries: int) -> None:
        self._left = retries
        self._wait = _FIRST

    def delay(self, error: ModelError) -> float:
        """Return the seconds to wait before asking again, or raise the error if asking again is no use or too often."""
        if not error.retryable or self._left <= 0:
            raise error
        self._left -= 1
        asked = error.retry_after if isinstance(error, ModelRateLimited) else None
        wait, self._wait = self._wait, min(_LONGEST, 2 * self._wait)
        return min(asked, 2 * _LONGEST) if asked is not None else wait * random.uniform(0.5, 1)


class Pace:
    """Spreads requests evenly: so many per minute. Safe to use from several threads."""

    def __init__(self, per_minute: float | None) -> None:
        if per_minute is not None and not per_minute > 0:
            raise ConfigurationError(
                "requests_per_minute", f"{per_minute!r} is no rate: give a number above 0, or None"
            )
        self._gap = 0.0 if per_minute is None else 60.0 / per_minute
        self._next = 0.0
        self._lock = threading.Lock()

    def take(self) -> float:
        """Take the next place and return how many seconds to wait for it."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + self._gap
        return start - now
