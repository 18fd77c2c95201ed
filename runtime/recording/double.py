"""The host's stand-in during a replay: it answers from the recording, and stops at the first difference."""

from typing import Any, TypeVar

from cloche.runtime.bridge.protocol import Call, Cancel, Sleep, Start, Wait, Withdraw, parse_call
from cloche.runtime.errors import ProtocolError
from cloche.runtime.recording.events import Asked, Clock, Entropy, Event, RecordedRun
from cloche.runtime.recording.redaction import HIDDEN
from cloche.runtime.seam import StopRun

__all__ = ["Differs", "Double", "Ended"]

E = TypeVar("E", Asked, Clock, Entropy)

_SHOWN = 200


class Differs(Exception):
    """The guest did something else than what was recorded; ``recorded`` and ``replayed`` are text to show."""

    def __init__(self, what: str, recorded: str, replayed: str) -> None:
        super().__init__(what, recorded, replayed)
        self.what = what
        self.recorded = recorded
        self.replayed = replayed


class Ended(Exception):
    """The host ended the run here, and does it again."""


class Double:
    """Serves a guest from one recorded run at a time."""

    def __init__(self) -> None:
        self._run = RecordedRun([], None)
        self.position = 0
        self.redacted = False
        self._output: tuple[bytearray, bytearray] = (bytearray(), bytearray())

    @property
    def left(self) -> int:
        """How many events were not asked for yet."""
        return len(self._run.events) - self.position

    def play(self, run: RecordedRun) -> None:
        """Serve this run from now on."""
        self._run = run
        self.position = 0
        self.redacted = False
        self._output = (bytearray(), bytearray())

    def rest(self) -> Differs | None:
        """Return what is missing at the end of a run: an event that was not asked for, or output."""
        if self.left and not self._run.cut:
            self.position += 1
            return Differs(_kind(self._run.events[-self.left - 1]), self._next_shown(-1), "not asked for")
        for what, before, now in zip(("stdout", "stderr"), self._recorded_output(), self._output, strict=True):
            if not self._run.cut and before != bytes(now):
                return Differs(what, _around(before, now), _around(bytes(now), before))
        return None

    def call(self, frame: bytes) -> bytes:
        """Return the recorded reply to this very frame."""
        event = self._next(Asked, "call", _shown_call(frame))
        if not _fits(event, frame):
            raise StopRun(Differs("call", _shown_call(event.frame), _shown_call(frame)))
        self.redacted = self.redacted or event.hidden
        if event.reply is None:
            raise StopRun(Ended())
        return event.reply

    def write(self, stream: int, data: bytes) -> None:
        """Take a piece of output, as far as the recorded one goes; a limit that cut that one cuts this one too."""
        kept = self._output[stream == 2]
        room = len(self._recorded_output()[stream == 2]) + 1 - len(kept)
        kept += data[: max(0, room)]
        if self._run.lost and len(data) > room and (self._run.error or [""])[0] == "OutputExceeded":
            raise StopRun(Ended())

    def clock(self, which: int) -> int:
        """Return the recorded time."""
        event = self._next(Clock, "clock", f"a look at clock {which}")
        if event.which != which:
            raise StopRun(Differs("clock", f"a look at clock {event.which}", f"a look at clock {which}"))
        return event.moment

    def entropy(self, size: int) -> bytes:
        """Return the recorded random bytes."""
        event = self._next(Entropy, "entropy", f"{size} bytes")
        if len(event.data) != size:
            raise StopRun(Differs("entropy", f"{len(event.data)} bytes", f"{size} bytes"))
        return event.data

    def _next(self, kind: type[E], what: str, now: str) -> E:
        if not self.left:
            # A recording that stops here, or a run that the host's clock ended while the guest computed.
            raise StopRun(Ended() if self._run.cut or self._run.lost else Differs(what, "not asked for", now))
        event = self._run.events[self.position]
        self.position += 1
        if not isinstance(event, kind):
            raise StopRun(Differs(what, self._next_shown(-1), now))
        return event

    def _next_shown(self, offset: int) -> str:
        event = self._run.events[self.position + offset]
        match event:
            case Asked(frame):
                return _shown_call(frame)
            case Clock(which):
                return f"a look at clock {which}"
            case Entropy(data):
                return f"{len(data)} random bytes"

    def _recorded_output(self) -> tuple[bytes, bytes]:
        return self._run.output, self._run.errors


def _kind(event: Event) -> str:
    return {Asked: "call", Clock: "clock", Entropy: "entropy"}[type(event)]


def _fits(event: Asked, frame: bytes) -> bool:
    """Return whether a frame is the recorded one, as far as that was not redacted."""
    if not event.hidden:
        return frame == event.frame
    try:
        was, now = parse_call(event.frame), parse_call(frame)
    except ProtocolError:
        return False
    if not isinstance(was, Call | Start) or not isinstance(now, Call | Start):
        # The question for finished calls: of it the answer is redacted.
        return event.frame == frame
    return type(was) is type(now) and was[:-2] == now[:-2] and _masked(now, was) == (was.args, was.kwargs)


def _masked(call: Call | Start, mask: Call | Start) -> tuple[list[Any], dict[str, Any]]:
    """Return a call's arguments, redacted where those of ``mask`` are."""
    if mask.args == [HIDDEN] and not mask.kwargs:
        return mask.args, mask.kwargs
    args = [HIDDEN if _is_hidden(mask.args[i : i + 1]) else value for i, value in enumerate(call.args)]
    return args, {key: HIDDEN if _is_hidden([mask.kwargs.get(key)]) else value for key, value in call.kwargs.items()}


def _is_hidden(values: list[Any]) -> bool:
    return values == [HIDDEN]


def _shown_call(frame: bytes) -> str:
    try:
        message = parse_call(frame)
    except ProtocolError:
        return "a malformed message"
    match message:
        case Call(name, args, kwargs) | Start(_, name, args, kwargs):
            items = [*(f"{each!r:.60}" for each in args), *(f"{key}={each!r:.60}" for key, each in kwargs.items())]
            return f"{name}({', '.join(items)})"[:_SHOWN]
        case Wait(timeout):
            return "waiting for a tool" if timeout is None else f"waiting {timeout} s for a tool"
        case Sleep(seconds):
            return f"sleeping {seconds} s"
        case Cancel(id_):
            return f"cancelling call {id_}"
        case Withdraw(id_):
            return f"no longer waiting for call {id_}"


def _around(text: bytes, other: bytes | bytearray) -> str:
    """Return the part of a text where it begins to differ from another."""
    same = next((i for i, pair in enumerate(zip(text, other, strict=False)) if pair[0] != pair[1]), None)
    start = max(0, (min(len(text), len(other)) if same is None else same) - 20)
    return f"{bytes(text[start : start + 60])!r} from byte {start}"
