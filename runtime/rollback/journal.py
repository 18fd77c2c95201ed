"""Having a guest again: a copy of its memory from time to time, and the requests since then with their answers."""

from collections.abc import Callable
from typing import Any

from cloche.runtime.bridge.transcript import ReplayMismatch, Tape, TapedAnswers
from cloche.runtime.machine_api import Machine, StopSignal
from cloche.runtime.rollback.checkpoint import Checkpoint

__all__ = ["Journal"]

_MAX_FUEL = 100_000_000
_MAX_SECONDS = 0.05
_MAX_BYTES = 4 << 20
_MAX_ENTRIES = 5_000
# A copy of many bytes costs more time, and is taken less often: one more unit of patience for each of these.
_HEAVY = 16 << 20
_MAX_PATIENCE = 5
# What the same work may cost the second time, before it is called a different work.
_SLACK_FUEL = 50_000_000
_REPLAY_SECONDS = 60.0


_Entry = tuple[bytes, list[Any], int]
"""A request, the answers that it was given, and a check of the response."""


class Journal:
    """One session's past, kept so that a machine that was lost can be made again.

    Small runs cost next to nothing: their request and answers are remembered. A copy of the changed memory is
    taken, and the log begun anew, when repeating the log would be slow or it has become large.
    """

    def __init__(self) -> None:
        self._checkpoint: Checkpoint | None = None
        self._patience = 1
        self._clear()

    def begin_at(self, checkpoint: Checkpoint) -> None:
        """Let the past of a session that has not run yet begin here, and not with a fresh machine."""
        self._checkpoint = checkpoint

    @staticmethod
    def new_tape() -> Tape:
        """Return a tape that gives up at the size at which this journal prefers a copy of the memory."""
        return Tape(_MAX_BYTES)

    def add(self, request: bytes, recording: TapedAnswers, response: bytes) -> None:
        """Remember a request that ended well."""
        answers, size = recording
        if answers is None:
            self._due = True
            return
        self._entries.append((request, answers, hash(response)))
        self._size += size + len(request)

    def add_steps(self, entries: list[_Entry], size: int, fuel: int) -> None:
        """Remember requests that ended well, with what they and their answers weigh.

        They need no settling if there was room for each but the last one: see :meth:`rooms`.
        """
        self._entries += entries
        self._size += size
        self._fuel += fuel

    def rooms(self) -> tuple[int, int, int]:
        """Return how much fuel, how many bytes and how many requests there is room for before a copy is due."""
        if self._due:
            return 0, 0, 0
        fuel = _MAX_FUEL * self._patience - self._fuel
        return max(0, fuel), max(0, _MAX_BYTES - self._size), max(0, _MAX_ENTRIES - len(self._entries))

    def settle(
        self, machine: Machine, pristine: Callable[[], memoryview], fuel: int | None = None, seconds: float = 0.0
    ) -> None:
        """Take a copy of the memory if it is time, now that the latest requests have cost so much.

        ``pristine`` gives the memory of a machine as the image left it.
        """
        if fuel is None:
            self._seconds += seconds
        else:
            self._fuel += fuel
        if self._is_due():
            self._checkpoint = Checkpoint.take(machine, pristine())
            self._patience = min(_MAX_PATIENCE, 1 + self._checkpoint.weight() // _HEAVY)
            self._clear()

    def restore(self, machine: Machine, tape: Tape, metered: bool) -> None:
        """Bring a fresh machine to where the journal ends. Raises ReplayMismatch, or what ``step`` raises."""
        if self._checkpoint is not None:
            machine.restore(*self._checkpoint)
        if not self._entries:
            return
        fuel = 2 * self._fuel + _SLACK_FUEL if metered else None
        machine.allow(fuel, StopSignal.within(_REPLAY_SECONDS))
        for entry in self._entries:
            _replay(machine, tape, entry)

    def _is_due(self) -> bool:
        patience = self._patience
        return (
            self._due
            or self._fuel > _MAX_FUEL * patience
            or self._seconds > _MAX_SECONDS * patience
            or self._size > _MAX_BYTES
            or len(self._entries) > _MAX_ENTRIES
        )

    def _clear(self) -> None:
        self._entries: list[_Entry] = []
        self._size = 0
        self._fuel = 0
        self._seconds = 0.0
        self._due = False


def _replay(machine: Machine, tape: Tape, entry: _Entry) -> None:
    request, answers, check = entry
    tape.play(answers)
    try:
        response = machine.step(request)
    finally:
        tape.replaying = False
    tape.end_play()
    if hash(response) != check:
        raise ReplayMismatch("a request was answered differently")
