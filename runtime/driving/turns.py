"""Whose turn it is: deficit round robin over accounts, with weights and priorities.

Each account that has work stands in the ring of its priority. When it comes to the front it is given a part of a
quantum of seconds, times its weight, and has a turn if it has some left. A quantum is charged when a turn begins, so
that two threads do not both spend what one account has, and what it has really taken when it ends. So accounts share
the time by their weights, however many programs each of them has, and one whose program stayed for too long waits until
the others have had as much.
"""

from collections import deque
from collections.abc import Collection
from typing import Generic, TypeVar

__all__ = ["MIN_CHARGE", "Turns"]

MIN_CHARGE = 50e-6
"""Seconds that every turn is charged at the least: a program that always leaves at once is not free."""
_MAX_IDLE = 1_000
# The part of a quantum that is given at once: the smaller it is, the less is an account ahead of the others.
_PART = 0.1

T = TypeVar("T")


class _Account(Generic[T]):
    """``fresh`` work is new or has waited, and ``begun`` work continues where its last turn ended: taken alternately.

    ``idle_at`` is how much all accounts had been charged when it had nothing more to do.
    """

    __slots__ = (
        "begun",
        "deficit",
        "fresh",
        "idle_at",
        "is_kept",
        "name",
        "prefers_begun",
        "priority",
        "taken",
        "used",
        "weight",
    )

    def __init__(self, name: str, quantum: float) -> None:
        self.name = name
        self.deficit = quantum
        self.idle_at = 0.0
        self.weight = 1.0
        self.priority = 0
        self.is_kept = False
        self.used = 0.0
        self.taken = 0
        self.prefers_begun = False
        self.fresh: deque[T] = deque()
        self.begun: deque[T] = deque()

    def __len__(self) -> int:
        return len(self.fresh) + len(self.begun)

    def take(self) -> T:
        first = self.begun if self.begun and (self.prefers_begun or not self.fresh) else self.fresh
        self.prefers_begun = first is self.fresh
        self.taken += 1
        return first.popleft()


class Turns(Generic[T]):
    """The work that waits for its turn. ``quantum`` is the seconds that one turn takes as a rule. Not thread-safe."""

    def __init__(self, quantum: float) -> None:
        self._quantum = quantum
        self._accounts: dict[str, _Account[T]] = {}
        # Of each priority, the accounts that have work, the next one first; the highest priority first.
        self._rings: dict[int, deque[_Account[T]]] = {}
        self._size = 0
        self._charged = 0.0

    def __len__(self) -> int:
        return self._size

    def put(self, account: str, work: T, *, begun: bool) -> bool:
        """Have work wait; ``begun`` says that its last turn has just ended. Returns whether it goes before all others.

        An account that comes anew goes first, if it has something left of its share; so does one whose only program
        was asked to leave before it had used up what it was given, but for that none has to hurry.
        """
        goes_first = False
        of = self._account(account)
        if not of:
            ring = self._ring(of.priority)
            anew = not of.taken and not begun
            if anew:
                share = (self._charged - of.idle_at) / (1 + len(ring))
                of.deficit = min(of.deficit + share * of.weight, max(of.deficit, self._quantum * of.weight))
            has_left = of.deficit > 0
            goes_first = anew and has_left
            if has_left and (anew or begun):
                ring.appendleft(of)
            else:
                ring.append(of)
        (of.begun if begun else of.fresh).append(work)
        self._size += 1
        return goes_first

    def take(self, *, but_of: Collection[str] = ()) -> tuple[str, T] | None:
        """Return the next work and its account, which is none of those; None if there is none."""
        if not self._size:
            return None
        if but_of:
            ring, of = self._other(but_of)
            if of is None:
                return None
        else:
            ring = next(ring for ring in self._rings.values() if ring)
            of = self._bring_forward(ring)
        work = of.take()
        of.deficit -= self._quantum
        self._size -= 1
        if not of:
            ring.remove(of)
        return of.name, work

    def has_other(self, accounts: Collection[str]) -> bool:
        """Return whether there is work of none of those."""
        return self._other(accounts)[1] is not None

    def _other(self, accounts: Collection[str]) -> "tuple[deque[_Account[T]], _Account[T] | None]":
        for ring in self._rings.values():
            for of in ring:
                if of.name not in accounts:
                    return ring, of
        return deque(), None

    def charge(self, account: str, seconds: float) -> None:
        """End a turn that :meth:`take` began, which took so many seconds of computing."""
        of = self._account(account)
        of.taken -= 1
        seconds = max(seconds, MIN_CHARGE)
        of.deficit += self._quantum - seconds
        of.used += seconds
        ring = self._ring(of.priority)
        if of.deficit <= 0 and ring and ring[0] is of:
            ring.rotate(-1)
        self._charged += seconds
        if not of and not of.taken:
            # An account that does nothing saves nothing up; what it has overdrawn it still owes.
            of.deficit = min(of.deficit, self._quantum * of.weight)
            of.idle_at = self._charged
            if len(self._accounts) > _MAX_IDLE:
                self._forget_idle()

    def configure(self, account: str, weight: float, priority: int) -> None:
        """Set an account's share, relative to 1 of the others, and its priority: higher ones go first."""
        of = self._account(account)
        if of:
            self._ring(of.priority).remove(of)
            self._ring(priority).append(of)
        of.weight, of.priority, of.is_kept = weight, priority, True

    def forget(self, account: str) -> None:
        """Drop an account's settings and what it has used. What it has waiting keeps waiting, as an account's anew."""
        of = self._accounts.get(account)
        if of is not None:
            self.configure(account, 1.0, 0)
            of.used, of.is_kept = 0.0, False
            if not of and not of.taken:
                del self._accounts[account]

    def usage(self) -> dict[str, float]:
        """Return the seconds that were charged, by account."""
        return {name: of.used for name, of in self._accounts.items()}

    def _bring_forward(self, ring: "deque[_Account[T]]") -> "_Account[T]":
        """Give whoever is at the front its part, until that leaves one with some time, and return it."""
        part = self._quantum * _PART
        while True:
            for _ in range(len(ring)):
                if ring[0].deficit <= 0:
                    ring[0].deficit += part * ring[0].weight
                if ring[0].deficit > 0:
                    return ring[0]
                ring.rotate(-1)
            # All are overdrawn, perhaps by much: so many rounds at once that one of them is nearly out of it.
            rounds = min(max(0.0, -of.deficit) // (part * of.weight) for of in ring)
            for of in ring:
                of.deficit += rounds * part * of.weight

    def _account(self, name: str) -> _Account[T]:
        found = self._accounts.get(name)
        if found is None:
            found = self._accounts[name] = _Account(name, self._quantum)
        return found

    def _ring(self, priority: int) -> "deque[_Account[T]]":
        if priority not in self._rings:
            self._rings[priority] = deque()
            self._rings = dict(sorted(self._rings.items(), reverse=True))
        return self._rings[priority]

    def _forget_idle(self) -> None:
        """Names may come from anywhere, and in any number: those without settings are forgotten, the oldest first."""
        idle = [of for of in self._accounts.values() if not of.is_kept and not of and not of.taken and of.deficit >= 0]
        for of in idle[: len(idle) // 2]:
            del self._accounts[of.name]
