"""What a guest asked of the host during a run, and what it was answered.

A guest is a pure function of its memory, the request, and these answers: fed with them again, it does the same. A
:class:`RecordedRun` is one run as a recording holds it, and :class:`Tape` keeps one request's answers for a rollback.
"""

from typing import Any, NamedTuple, TypeGuard

from cloche.runtime.bridge.protocol import is_dict, is_list
from cloche.runtime.dataclass import dataclass, field

__all__ = [
    "RecordedCall",
    "RecordedClock",
    "RecordedEntropy",
    "RecordedEvent",
    "RecordedRun",
    "ReplayMismatch",
    "Tape",
    "TapedAnswers",
    "event_from",
    "is_number",
    "join_answers",
    "run_from",
]


class RecordedCall(NamedTuple):
    """A call frame and the host's reply; no reply if the host ended the run there. ``hidden``: partly redacted."""

    frame: bytes
    reply: bytes | None
    hidden: bool


class RecordedClock(NamedTuple):
    """A look at a clock, and its nanoseconds."""

    which: int
    moment: int


class RecordedEntropy(NamedTuple):
    """Random bytes that were asked for."""

    data: bytes


RecordedEvent = RecordedCall | RecordedClock | RecordedEntropy
_TAGS: dict[str, type[RecordedEvent]] = {"call": RecordedCall, "clock": RecordedClock, "entropy": RecordedEntropy}
_NAMES = {kind: tag for tag, kind in _TAGS.items()}


@dataclass(slots=True)
class RecordedRun:
    """One run, or another request such as setting a variable.

    ``requests`` were sent to the guest in turn with ``fuel`` units to use (None: not metered), and answered by
    ``responses``; ``events`` is what it asked meanwhile. ``code`` is the program, for people; ``output`` and
    ``errors`` what it printed on its two streams; ``error`` its end's type and message, None if it ended well;
    ``used`` its fuel. ``lost``: it was ended from outside, and the session went back to where it began.
    ``cut``: the recording became too large and stops within this run.
    """

    requests: list[bytes]
    fuel: int | None
    code: str | None = None
    responses: list[bytes] = field(default_factory=list[bytes])
    events: list[RecordedEvent] = field(default_factory=list[RecordedEvent])
    output: bytes = b""
    errors: bytes = b""
    error: list[str] | None = None
    used: int | None = None
    lost: bool = False
    cut: bool = False

    def as_plain(self) -> dict[str, Any]:
        """Return the run as a dict of what the codec of values can encode."""
        plain = {name: getattr(self, name) for name in self.__match_args__}
        return plain | {"events": [[_NAMES[type(event)], *event] for event in self.events]}


def run_from(plain: object) -> RecordedRun:
    """Return a run. Raises ValueError for anything that :meth:`RecordedRun.as_plain` would not have made."""
    if not is_dict(plain) or plain.keys() != {*RecordedRun.__match_args__}:
        raise ValueError("a run does not have the fields of one")
    if not (_are(plain["requests"], bytes) and _are(plain["responses"], bytes) and is_list(plain["events"])):
        raise ValueError("a run's requests or events are not lists of them")
    for names, kinds in _FIELDS:
        for name in names:
            if type(plain[name]) not in kinds or (type(plain[name]) is int and not is_number(plain[name])):
                raise ValueError(f"a run's field {name!r} has another type")
    if plain["error"] is not None and not (_are(plain["error"], str) and len(plain["error"]) == 2):
        raise ValueError("a run's error is not a type and a message")
    made: dict[str, Any] = plain | {"events": [event_from(event) for event in plain["events"]]}
    return RecordedRun(**made)


def event_from(plain: Any) -> RecordedEvent:
    """Return an event. Raises ValueError."""
    match plain:
        case ["call", bytes(frame), (None | bytes()) as reply, bool(hidden)]:
            return RecordedCall(frame, reply, hidden)
        case ["clock", which, moment] if is_number(which) and is_number(moment):
            return RecordedClock(which, moment)
        case ["entropy", bytes(data)]:
            return RecordedEntropy(data)
        case _:
            raise ValueError("an event of an unknown shape")


_NOTHING = type(None)
_FIELDS: list[tuple[tuple[str, ...], tuple[type, ...]]] = [
    (("output", "errors"), (bytes,)),
    (("fuel", "used"), (int, _NOTHING)),
    (("code",), (str, _NOTHING)),
    (("error",), (list, _NOTHING)),
    (("lost", "cut"), (bool,)),
]


def is_number(value: object) -> TypeGuard[int]:
    """Return whether this is an int that a recording may hold, and not one of thousands of digits."""
    return type(value) is int and -(1 << 64) < value < 1 << 64


def _are(values: Any, kind: type) -> TypeGuard[list[Any]]:
    return is_list(values) and all(type(value) is kind for value in values)


_CALL, _CLOCK, _ENTROPY = range(3)
# What one small answer weighs beside its bytes: a tuple, its objects and a place in the list.
_ANSWER = 128


TapedAnswers = tuple[list[Any] | None, int]
"""The answers of one request, each with its kind and a check of what was asked, None if there were too many; and what
they weigh. A plain tuple, because one is made for each run."""


def join_answers(first: TapedAnswers, second: TapedAnswers) -> TapedAnswers:
    """Return the answers of a request that was answered in two parts."""
    (before, size), (after, more) = first, second
    if before is None or after is None:
        return None, size + more
    # In place: a program that waits often is answered in many parts.
    before.extend(after)
    return before, size + more


class ReplayMismatch(Exception):
    """The guest did something else than what was recorded."""


class Tape:
    """Records one request's answers, or plays them back: a guest that is fed with them again does the same.

    Recording stops for good once the answers weigh more than ``max_bytes`` bytes: they are then worth less than a
    copy of the memory. With 0 nothing is ever recorded.
    """

    __slots__ = ("_answers", "_max_bytes", "_position", "_recording", "_size", "replaying")

    def __init__(self, max_bytes: int = 0) -> None:
        self._max_bytes = max_bytes
        self.replaying = False
        self._recording = False
        self._answers: list[Any] = []
        self._size = 0
        self._position = 0

    def start(self) -> None:
        """Begin a recording."""
        self._answers = []
        self._size = 0
        self._recording = self._max_bytes > 0

    def stop(self) -> TapedAnswers:
        """End the recording and return it."""
        complete, self._recording = self._recording, False
        return self._answers if complete else None, self._size

    def play(self, answers: list[Any]) -> None:
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
            if self._size > self._max_bytes:
                self._give_up()
            else:
                self._answers.append((_CALL, hash(frame), reply))

    def reserve_call(self, frame: bytes) -> list[Any] | None:
        """Keep the place of the reply to a call frame, in the order in which the guest asked."""
        if not self._recording:
            return None
        place = [_CALL, hash(frame), None]
        self._answers.append(place)
        return place

    def fill(self, place: list[Any] | None, reply: bytes) -> None:
        """Record the reply in its place."""
        if place is not None:
            place[2] = reply
            if self._recording:
                self._size += len(reply) + _ANSWER
                if self._size > self._max_bytes:
                    self._give_up()

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
        if self._size > self._max_bytes:
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
        if answer[0] != kind or answer[1] != check:
            raise ReplayMismatch(f"answer {self._position} was recorded for something else")
        self._position += 1
        return answer[2]
