"""Whose calls these are: the run, agent and step that calls are counted and recorded under."""

import threading
import uuid
from collections import Counter
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

from cloche.host_tools.policy.rules import Policy

__all__ = ["Scope", "current_scope"]


class _Counts:
    """How many calls of each tool were made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: Counter[str] = Counter()

    def take(self, name: str, most: int | None) -> bool:
        """Count one more, unless there were ``most`` already; return whether it was counted."""
        with self._lock:
            if most is not None and self._made[name] >= most:
                return False
            self._made[name] += 1
            return True

    def made(self, name: str) -> int:
        """Return how many there were."""
        with self._lock:
            return self._made[name]


@dataclass(frozen=True, slots=True)
class Scope:
    """One run, with its own counts; a step of it shares the counts of the whole.

    ``policies`` hold in addition to the tools' own, while the scope is entered.
    """

    agent: str = ""
    step: int | None = None
    policies: Mapping[str, Policy] = field(default_factory=dict[str, Policy])
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    counts: _Counts = field(default_factory=_Counts, repr=False, compare=False)

    def at(self, step: int) -> "Scope":
        """Return the same run at another step."""
        return Scope(self.agent, step, self.policies, self.run, self.counts)


# A context variable, because one set of tools serves several agents at once. The runtime carries it to its threads.
current_scope: ContextVar[Scope | None] = ContextVar("cloche_scope", default=None)
