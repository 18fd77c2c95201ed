"""Running a recording again without the tools, up to the first difference."""

from dataclasses import dataclass
from typing import Any

from cloche.runtime.bridge.protocol import ABI, Call, Start, parse_call
from cloche.runtime.errors import ConfigurationError, ProtocolError, RecordingError
from cloche.runtime.limits import Limits
from cloche.runtime.recording.double import Differs, Double, Ended
from cloche.runtime.recording.events import Asked, RecordedRun
from cloche.runtime.recording.recording import Recording
from cloche.runtime.rollback.checkpoint import Checkpoint
from cloche.runtime.seam import Machine, MachineSource
from cloche.runtime.snapshots.snapshot import Snapshot, checkpoint_of
from cloche.runtime.wasm.source import ImageSource
from cloche.runtime.wasm.traps import StopKind, Stopped

__all__ = ["Difference", "Replay", "replay"]

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
        self._double = Double()
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

    def _again(self, run: RecordedRun) -> Differs | None:
        machine = self._machine
        machine.set_deadline(_PATIENCE)
        if run.fuel is not None and self._source.metered:
            machine.set_fuel(run.fuel)
        try:
            return self._step(run) or self._double.rest() or self._fuel(run)
        except Stopped as stopped:
            return self._ended(run, stopped)

    def _step(self, run: RecordedRun) -> Differs | None:
        for index, request in enumerate(run.requests):
            response = self._machine.step(request)
            if index >= len(run.responses):
                return None if run.cut else Differs("end", _shown(run.error), "an answer")
            if response != run.responses[index]:
                return Differs("answer", _shown(run.responses[index]), _shown(response))
        return None

    def _fuel(self, run: RecordedRun) -> Differs | None:
        if run.fuel is None or run.used is None or not self._source.metered:
            return None
        if self._redacted or self._double.redacted:
            # Another text in place of the hidden one takes another amount of work.
            return None
        used = run.fuel - self._machine.fuel_left()
        return None if used == run.used else Differs("fuel", f"{run.used:,}", f"{used:,}")

    def _ended(self, run: RecordedRun, stopped: Stopped) -> Differs | None:
        if isinstance(stopped.reason, Differs):
            return stopped.reason
        if isinstance(stopped.reason, Ended) or (stopped.kind is StopKind.TIME and not self._double.left):
            # Ended by the host, as it was: by a clock or a caller that is not here now.
            return None if len(run.responses) < len(run.requests) else Differs("end", "an answer", str(stopped))
        if len(run.responses) == len(run.requests):
            return Differs("end", "an answer", str(stopped))
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
            self._state.apply(machine)
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
    if memory < source.least_memory:
        raise RecordingError("this recording cannot be replayed: its memory does not hold the interpreter")


def _is_call(event: Any) -> bool:
    if not isinstance(event, Asked):
        return False
    try:
        return isinstance(parse_call(event.frame), Call | Start)
    except ProtocolError:
        return False


def _shown(what: object) -> str:
    return f"{what!r:.200}"
