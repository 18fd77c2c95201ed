"""Imports that fail with the reason why."""

import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from cloche_guest.reasons import ABSENT, BLOCKED

__all__ = ["Absent", "install"]


class Absent(MetaPathFinder):
    """Answers the import of a listed module with the reason it is not there; all others are left to the next finder.

    The error is a ModuleNotFoundError, so that ``try: import ssl`` in the standard library goes its other way.
    """

    def __init__(self, reasons: Mapping[str, str]) -> None:
        self._reasons = reasons

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """Raise for a listed module, else return None."""
        reason = self._reasons.get(fullname)
        if reason is None:
            return None
        raise ModuleNotFoundError(f"No module named {fullname!r}: {reason}", name=fullname)


def install() -> None:
    """Put the reasons in place: what can never be before all finders, what is only not found after them."""
    sys.meta_path.insert(0, Absent(BLOCKED))
    sys.meta_path.append(Absent(ABSENT))
