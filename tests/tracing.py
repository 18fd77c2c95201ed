"""What an action costs in code: the product's modules that it crosses, and the Python functions that it calls."""

import gc
import sys
import threading
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple, Self

__all__ = ["Journey", "Tracer"]

_Function = tuple[str, str]


class Journey(NamedTuple):
    """How often each function was called, by module and qualified name; a generator counts each time it is resumed."""

    calls: Counter[_Function]

    @property
    def modules(self) -> list[str]:
        """The product's modules whose functions were called, sorted."""
        return sorted({module for module, _ in self.calls if module.partition(".")[0] == "cloche"})

    @property
    def functions(self) -> int:
        """The number of calls of Python functions, the standard library's included."""
        return self.calls.total()

    def beyond(self, other: "Journey") -> "Journey":
        """Return what this journey calls more often than another: what one more step of it takes."""
        return Journey(self.calls - other.calls)


class Tracer:
    """Counts the calls of the thread that asks, and of every thread that was started since its block began.

    Calls of C functions are not counted. Only one tracer at a time sees other threads: it is used in a ``with`` block.
    """

    def __init__(self) -> None:
        # Appended to by several threads at once, which a list allows and a counter does not.
        self._seen: list[_Function] | None = None

    def __enter__(self) -> Self:
        threading.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        threading.setprofile(None)

    def journey(self, action: Callable[[], object]) -> Journey:
        """Do something and return the calls that it took, without that of ``action`` itself."""
        # What a finalizer does is no part of the action, and comes at any moment.
        gc.collect()
        gc.disable()
        seen = self._seen = []
        sys.setprofile(self._note)
        try:
            action()
        finally:
            sys.setprofile(None)
            self._seen = None
            gc.enable()
        return Journey(Counter(seen[1:]))

    def _note(self, frame: FrameType, event: str, _argument: Any) -> None:
        seen = self._seen
        if seen is not None and event == "call":
            seen.append((str(frame.f_globals.get("__name__")), frame.f_code.co_qualname))
