"""What a guest asked of the host during a run, and what it was answered.

A guest is a pure function of its memory, the request, and these answers: fed with them again, it does the same. A
:class:`RecordedRun` is one run as a recording holds it.
"""

from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, TypeGuard

from cloche.runtime.bridge.protocol import is_dict, is_list

__all__ = [
    "RecordedCall",
    "RecordedClock",
    "RecordedEntropy",
    "RecordedEvent",
    "RecordedRun",
    "event_from",
    "is_number",
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
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        return plain | {"events": [[_NAMES[type(event)], *event] for event in self.events]}


def run_from(plain: object) -> RecordedRun:
    """Return a run. Raises ValueError for anything that :meth:`RecordedRun.as_plain` would not have made."""
    if not is_dict(plain) or plain.keys() != {each.name for each in fields(RecordedRun)}:
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
