"""Writing down a session while it happens."""

from collections.abc import Collection

from cloche.runtime.bridge.protocol import ABI
from cloche.runtime.dispatch import ToolSpec
from cloche.runtime.errors import ConfigurationError
from cloche.runtime.recording.events import Clock, Entropy, Event, RecordedRun
from cloche.runtime.recording.recording import Recording
from cloche.runtime.recording.redaction import Redaction
from cloche.runtime.seam import Handlers, MachineSource

__all__ = ["Ear", "Recorder"]

_MOST = 64 << 20
# What a small event weighs beside its bytes.
_EVENT = 64


class Recorder:
    """Records one session: pass it to ``Sandbox.run``, ``Sandbox.session`` or ``Sandbox.restore``.

    ``redact`` names tools of which neither arguments nor answers are recorded, or single arguments as
    ``"tool.argument"``. What the program does with a secret that it was given, such as printing it, is recorded.
    ``most`` is the bytes after which recording stops, within the run that is going on; default 64 MiB.

    Raises ConfigurationError for names that are none.
    """

    def __init__(self, redact: Collection[str] = (), *, most: int = _MOST) -> None:
        self._redaction = Redaction(redact)
        self._room = most
        self._runs: list[RecordedRun] = []
        self._source: MachineSource | None = None
        self._memory = 0
        self._keeps = False
        self._start: bytes | None = None

    def recording(self) -> Recording:
        """Return what was recorded so far. Raises ConfigurationError before the recorder was given to a session."""
        if self._source is None:
            raise ConfigurationError("recorder", "it has recorded nothing: pass it to Sandbox.run or Sandbox.session")
        return Recording(self._source.digest, ABI, self._memory, self._keeps, self._start, tuple(self._runs))

    def attach(self, source: MachineSource, memory: int, keeps: bool, start: bytes | None) -> None:
        """Begin to record a session, for the layers below only. Raises ConfigurationError if there was one."""
        if self._source is not None:
            raise ConfigurationError("recorder", "it belongs to another session already: make one for each")
        self._source, self._memory, self._keeps, self._start = source, memory, keeps, start

    def begin(self, specs: list[ToolSpec], requests: list[bytes], fuel: int | None, code: str | None) -> RecordedRun:
        """Return the record of a run that is about to be made."""
        self._redaction.learn(specs)
        run = RecordedRun([], fuel, code, cut=self._room <= 0)
        self._take(run, sum(map(len, requests)))
        if not run.cut:
            run.requests = requests
        return run

    def resumed(self, run: RecordedRun, requests: list[bytes]) -> None:
        """Record further requests of a run that was suspended."""
        self._take(run, sum(map(len, requests)))
        if not run.cut:
            run.requests = [*run.requests, *map(self._redaction.resumption, requests)]

    def end(self, run: RecordedRun) -> None:
        """Keep the record of a run that is over, unless recording had stopped before it."""
        if run.requests:
            self._runs.append(run)

    def asked(self, run: RecordedRun, frame: bytes, reply: bytes | None) -> None:
        """Record a call."""
        self._add(run, self._redaction.event(frame, reply), len(frame) + len(reply or b""))

    def told(self, run: RecordedRun, event: Clock | Entropy) -> None:
        """Record a look at the clock, or random bytes."""
        self._add(run, event, len(event.data) if isinstance(event, Entropy) else 0)

    def answered(self, run: RecordedRun, response: bytes) -> None:
        """Record a response of the guest."""
        self._take(run, len(response))
        if not run.cut:
            run.responses.append(response)

    def _add(self, run: RecordedRun, event: Event, size: int) -> None:
        self._take(run, size + _EVENT)
        if not run.cut:
            run.events.append(event)

    def _take(self, run: RecordedRun, size: int) -> None:
        self._room -= size
        run.cut = run.cut or self._room <= 0


class Ear:
    """Listens between a guest and its handlers while ``run`` is set."""

    def __init__(self, handlers: Handlers, recorder: Recorder) -> None:
        self._handlers = handlers
        self._recorder = recorder
        self.run: RecordedRun | None = None

    def call(self, frame: bytes) -> bytes:
        """Answer a call frame."""
        try:
            reply = self._handlers.call(frame)
        except BaseException:
            self._asked(frame, None)
            raise
        self._asked(frame, reply)
        return reply

    def write(self, stream: int, data: bytes) -> None:
        """Take a piece of output."""
        self._handlers.write(stream, data)

    def clock(self, which: int) -> int:
        """Return the time."""
        moment = self._handlers.clock(which)
        self._told(Clock(which, moment))
        return moment

    def entropy(self, size: int) -> bytes:
        """Return random bytes."""
        data = self._handlers.entropy(size)
        self._told(Entropy(data))
        return data

    def _asked(self, frame: bytes, reply: bytes | None) -> None:
        if self.run is not None:
            self._recorder.asked(self.run, frame, reply)

    def _told(self, event: Clock | Entropy) -> None:
        if self.run is not None:
            self._recorder.told(self.run, event)
