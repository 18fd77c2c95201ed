"""A recording of everything the outer world told a guest during one request.

A guest is a pure function of its memory, the request, and these answers: fed with them again, it does the same.
"""

from typing import Any

__all__ = ["Recording", "ReplayMismatch", "Tape"]

_CALL, _CLOCK, _ENTROPY = range(3)
# What one small answer weighs beside its bytes: a tuple, its objects and a place in the list.
_ANSWER = 128

_Answer = tuple[int, int, Any]

Recording = tuple[list[_Answer] | None, int]
"""The answers of one request, each with its kind and a check of what was asked, None if there were too many; and what
they weigh. A plain tuple, because one is made for each run."""


class ReplayMismatch(Exception):
    """The guest did something else than what was recorded."""


class Tape:
    """Records one request's answers, or plays them back.

    Recording stops for good once the answers weigh more than ``most`` bytes: they are then worth less than a
    copy of the memory. With 0 nothing is ever recorded.
    """

    __slots__ = ("_answers", "_most", "_position", "_recording", "_size", "replaying")

    def __init__(self, most: int = 0) -> None:
        self._most = most
        self.replaying = False
        self._recording = False
        self._answers: list[_Answer] = []
        self._size = 0
        self._position = 0

    def start(self) -> None:
        """Begin a recording."""
        self._answers = []
        self._size = 0
        self._recording = self._most > 0

    def stop(self) -> Recording:
        """End the recording and return it."""
        complete, self._recording = self._recording, False
        return self._answers if complete else None, self._size

    def play(self, answers: list[_Answer]) -> None:
        """Begin to play answers back."""
        self._answers = answers
        self._position = 0
        self.replaying = True

    def end_play(self) -> None:
        """Stop playing. Raises ReplayMismatch if not everything was asked for."""
        self.replaying = False
        if self._position != len(self._answers):
            raise ReplayMismatch(f"asked {self._position} times instead of {len(self._answers)}")

    def record_call(self, frame: bytes, reply: bytes) -> None:
        """Record the reply to a call frame."""
        # As in ``_add``, without the call, and without a check of a frame for which there is no room.
        if self._recording:
            self._size += len(reply) + _ANSWER
            if self._size > self._most:
                self._give_up()
            else:
                self._answers.append((_CALL, hash(frame), reply))

    def record_clock(self, moment: int) -> None:
        """Record a time."""
        if self._recording:
            self._add(_CLOCK, 0, moment, 0)

    def record_entropy(self, data: bytes) -> None:
        """Record random bytes."""
        if self._recording:
            self._add(_ENTROPY, len(data), data, len(data))

    def replay_call(self, frame: bytes) -> bytes:
        """Return the recorded reply to this very frame. Raises ReplayMismatch."""
        reply: bytes = self._next(_CALL, hash(frame))
        return reply

    def replay_clock(self) -> int:
        """Return the recorded time. Raises ReplayMismatch."""
        moment: int = self._next(_CLOCK, 0)
        return moment

    def replay_entropy(self, size: int) -> bytes:
        """Return the recorded random bytes. Raises ReplayMismatch."""
        data: bytes = self._next(_ENTROPY, size)
        return data

    def _add(self, kind: int, check: int, answer: Any, size: int) -> None:
        self._size += size + _ANSWER
        if self._size > self._most:
            self._give_up()
        else:
            self._answers.append((kind, check, answer))

    def _give_up(self) -> None:
        self._recording = False
        self._answers = []

    def _next(self, kind: int, check: int) -> Any:
        if self._position >= len(self._answers):
            raise ReplayMismatch("asked more often than recorded")
        answer = self._answers[self._position]
        if answer[:2] != (kind, check):
            raise ReplayMismatch(f"answer {self._position} was recorded for something else")
        self._position += 1
        return answer[2]
