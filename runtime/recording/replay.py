"""Running a recording again without the tools, up to the first difference."""

from typing import Any, TypeVar

from cloche.runtime.bridge.protocol import ABI, Call, Cancel, Sleep, Start, Wait, Withdraw, parse_call
from cloche.runtime.bridge.transcript import RecordedCall, RecordedClock, RecordedEntropy, RecordedEvent, RecordedRun
from cloche.runtime.dataclass import dataclass
from cloche.runtime.errors import ConfigurationError, ProtocolError, RecordingError
from cloche.runtime.limits import Limits
from cloche.runtime.machine_api import Machine, MachineSource, StopRun, StopSignal
from cloche.runtime.recording.recorder import HIDDEN
from cloche.runtime.recording.recording import Recording
from cloche.runtime.rollback.checkpoint import Checkpoint
from cloche.runtime.snapshots.snapshot import Snapshot, checkpoint_of
from cloche.runtime.wasm.machine import ImageSource
from cloche.runtime.wasm.traps import StopKind, Stopped

__all__ = ["Difference", "RecordedEnd", "Replay", "ReplayDiffers", "ReplayHandlers", "replay"]


E = TypeVar("E", RecordedCall, RecordedClock, RecordedEntropy)

_MAX_SHOWN = 200


class ReplayDiffers(Exception):
    """The guest did something else than what was recorded; ``recorded`` and ``replayed`` are text to show."""

    def __init__(self, what: str, recorded: str, replayed: str) -> None:
        super().__init__(what, recorded, replayed)
        self.what = what
        self.recorded = recorded
        self.replayed = replayed


class RecordedEnd(Exception):
    """The host ended the run here, and does it again."""


class ReplayHandlers:
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

    def rest(self) -> ReplayDiffers | None:
        """Return what is missing at the end of a run: an event that was not asked for, or output."""
        if self.left and not self._run.cut:
            self.position += 1
            return ReplayDiffers(_kind(self._run.events[-self.left - 1]), self._next_shown(-1), "not asked for")
        for what, before, now in zip(("stdout", "stderr"), self._recorded_output(), self._output, strict=True):
            if not self._run.cut and before != bytes(now):
                return ReplayDiffers(what, _around(before, now), _around(bytes(now), before))
        return None

    def call(self, frame: bytes) -> bytes:
        """Return the recorded reply to this very frame."""
        event = self._next(RecordedCall, "call", _shown_call(frame))
        if not _fits(event, frame):
            raise StopRun(ReplayDiffers("call", _shown_call(event.frame), _shown_call(frame)))
        self.redacted = self.redacted or event.hidden
        if event.reply is None:
            raise StopRun(RecordedEnd())
        return event.reply

    def write(self, stream: int, data: bytes) -> None:
        """Take a piece of output, as far as the recorded one goes; a limit that cut that one cuts this one too."""
        kept = self._output[stream == 2]
        room = len(self._recorded_output()[stream == 2]) + 1 - len(kept)
        kept += data[: max(0, room)]
        if self._run.lost and len(data) > room and (self._run.error or [""])[0] == "OutputExceeded":
            raise StopRun(RecordedEnd())

    def clock(self, which: int) -> int:
        """Return the recorded time."""
        event = self._next(RecordedClock, "clock", f"a look at clock {which}")
        if event.which != which:
            raise StopRun(ReplayDiffers("clock", f"a look at clock {event.which}", f"a look at clock {which}"))
        return event.moment

    def entropy(self, size: int) -> bytes:
        """Return the recorded random bytes."""
        event = self._next(RecordedEntropy, "entropy", f"{size} bytes")
        if len(event.data) != size:
            raise StopRun(ReplayDiffers("entropy", f"{len(event.data)} bytes", f"{size} bytes"))
        return event.data

    def _next(self, kind: type[E], what: str, now: str) -> E:
        if not self.left:
            # A recording that stops here, or a run that the host's clock ended while the guest computed.
            raise StopRun(
                RecordedEnd() if self._run.cut or self._run.lost else ReplayDiffers(what, "not asked for", now)
            )
        event = self._run.events[self.position]
        self.position += 1
        if not isinstance(event, kind):
            raise StopRun(ReplayDiffers(what, self._next_shown(-1), now))
        return event

    def _next_shown(self, offset: int) -> str:
        event = self._run.events[self.position + offset]
        match event:
            case RecordedCall(frame):
                return _shown_call(frame)
            case RecordedClock(which):
                return f"a look at clock {which}"
            case RecordedEntropy(data):
                return f"{len(data)} random bytes"

    def _recorded_output(self) -> tuple[bytes, bytes]:
        return self._run.output, self._run.errors


def _kind(event: RecordedEvent) -> str:
    return {RecordedCall: "call", RecordedClock: "clock", RecordedEntropy: "entropy"}[type(event)]


def _fits(event: RecordedCall, frame: bytes) -> bool:
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
            return f"{name}({', '.join(items)})"[:_MAX_SHOWN]
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


# Seconds that one run may take again: what ended it the first time may be a clock that is not asked now.
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a replay went another way. ``run`` counts from 1, ``event`` what the guest asked in it (0: none).

    ``what`` is ``"call"``, ``"clock"``, ``"entropy"``, ``"stdout"``, ``"stderr"``, ``"answer"``, ``"end"`` or
    ``"fuel"``; ``recorded`` and ``replayed`` are both sides as text, cut short. ``redacted`` says that something before
    it was hidden in the recording, which may be why.
    """

    run: int
    event: int
    what: str
    recorded: str
    replayed: str
    redacted: bool

    def __str__(self) -> str:
        where = f"run {self.run}, event {self.event}" if self.event else f"run {self.run}"
        why = "; something before it was redacted, which may be why" if self.redacted else ""
        return f"{where}: its {self.what} was {self.recorded} and is {self.replayed}{why}"


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of replaying: how many ``runs`` and tool ``calls`` were the same, and the first difference, if any.

    ``complete`` is false if the recording stops early because it had become too large.
    """

    runs: int
    calls: int
    difference: Difference | None
    complete: bool


def replay(recording: Recording, *, source: MachineSource | None = None) -> Replay:
    """Run a recording again in a guest of ``source``, default the shipped image; no tool is called.

    Raises RecordingError if it is of another image or cannot be begun, SnapshotError for the snapshot it begins with.
    """
    return _Replaying(recording, ImageSource() if source is None else source).perform()


class _Replaying:
    def __init__(self, recording: Recording, source: MachineSource) -> None:
        self._recording = recording
        self._source = source
        self._double = ReplayHandlers()
        self._state = _beginning(recording, source)
        self._machine = self._new_machine()
        self._calls = 0
        self._redacted = False

    def perform(self) -> Replay:
        """Replay run after run."""
        try:
            for number, run in enumerate(self._recording.runs, 1):
                difference = self._compare(number, run)
                if difference is not None or run.cut:
                    return Replay(number - 1, self._calls, difference, not run.cut)
        finally:
            self._machine.close()
        return Replay(len(self._recording.runs), self._calls, None, True)

    def _compare(self, number: int, run: RecordedRun) -> Difference | None:
        before = Checkpoint.take(self._machine, self._source.pristine()) if run.lost else None
        self._double.play(run)
        differs = self._again(run)
        self._redacted = self._redacted or self._double.redacted
        if differs is None:
            self._calls += sum(_is_call(event) for event in run.events)
            self._forget(before)
            return None
        event = self._double.position if differs.what in ("call", "clock", "entropy") else 0
        return Difference(number, event, differs.what, differs.recorded, differs.replayed, self._redacted)

    def _again(self, run: RecordedRun) -> ReplayDiffers | None:
        machine = self._machine
        machine.allow(None, StopSignal.within(_PATIENCE))
        if run.fuel is not None and self._source.metered:
            machine.set_fuel(run.fuel)
        try:
            return self._step(run) or self._double.rest() or self._fuel(run)
        except Stopped as stopped:
            return self._ended(run, stopped)

    def _step(self, run: RecordedRun) -> ReplayDiffers | None:
        for index, request in enumerate(run.requests):
            response = self._machine.step(request)
            if index >= len(run.responses):
                return None if run.cut else ReplayDiffers("end", _shown(run.error), "an answer")
            if response != run.responses[index]:
                return ReplayDiffers("answer", _shown(run.responses[index]), _shown(response))
        return None

    def _fuel(self, run: RecordedRun) -> ReplayDiffers | None:
        if run.fuel is None or run.used is None or not self._source.metered:
            return None
        if self._redacted or self._double.redacted:
            # Another text in place of the hidden one takes another amount of work.
            return None
        used = run.fuel - self._machine.fuel_left()
        return None if used == run.used else ReplayDiffers("fuel", f"{run.used:,}", f"{used:,}")

    def _ended(self, run: RecordedRun, stopped: Stopped) -> ReplayDiffers | None:
        if isinstance(stopped.reason, ReplayDiffers):
            return stopped.reason
        if isinstance(stopped.reason, RecordedEnd) or (stopped.kind is StopKind.TIME and not self._double.left):
            # Ended by the host, as it was: by a clock or a caller that is not here now.
            return None if len(run.responses) < len(run.requests) else ReplayDiffers("end", "an answer", str(stopped))
        if len(run.responses) == len(run.requests):
            return ReplayDiffers("end", "an answer", str(stopped))
        return self._double.rest()

    def _forget(self, before: Checkpoint | None) -> None:
        """Go back to where a run began that had been lost, or whose guest has ended."""
        if before is None and not self._machine.dead:
            return
        self._machine.close()
        self._state = self._state if before is None else before
        self._machine = self._new_machine()

    def _new_machine(self) -> Machine:
        machine = self._source.new(self._double, self._recording.memory)
        if self._state is not None:
            machine.restore(*self._state)
        return machine


def _beginning(recording: Recording, source: MachineSource) -> Checkpoint | None:
    """Return where the recording begins; None for a fresh guest."""
    if recording.abi != ABI:
        raise RecordingError(f"this recording is of version {recording.abi} of the bridge, and this is {ABI}")
    if recording.image != source.digest:
        raise RecordingError(
            f"this recording is of the image {recording.image[:12]}, and this one is {source.digest[:12]} (SHA-256)"
        )
    _check_memory(recording.memory, source)
    return None if recording.start is None else checkpoint_of(Snapshot.from_bytes(recording.start), source)


def _check_memory(memory: int, source: MachineSource) -> None:
    try:
        Limits(memory=memory)
    except ConfigurationError as error:
        raise RecordingError(f"this recording cannot be replayed: {error}") from None
    if memory < source.min_memory:
        raise RecordingError("this recording cannot be replayed: its memory does not hold the interpreter")


def _is_call(event: Any) -> bool:
    if not isinstance(event, RecordedCall):
        return False
    try:
        return isinstance(parse_call(event.frame), Call | Start)
    except ProtocolError:
        return False


def _shown(what: object) -> str:
    return f"{what!r:.200}"
