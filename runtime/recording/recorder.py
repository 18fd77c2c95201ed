"""Writing down a session while it happens, without what is to be redacted."""

from collections.abc import Collection
from typing import Any

from cloche.runtime.bridge.protocol import ABI, Call, Op, Start, Wait, is_list, parse_call
from cloche.runtime.bridge.transcript import RecordedCall, RecordedClock, RecordedEntropy, RecordedEvent, RecordedRun
from cloche.runtime.dispatch import ToolSpec
from cloche.runtime.errors import ConfigurationError, ProtocolError
from cloche.runtime.machine_api import UNANSWERED, Handlers, MachineSource
from cloche.runtime.recording.recording import Recording
from cloche.runtime.values import decode, encode

__all__ = ["HIDDEN", "Recorder", "RecordingHandlers", "Redaction"]


HIDDEN = "[redacted]"
"""What stands in a recording in place of a secret."""
_CALL, _START = 0, 1


class Redaction:
    """What to hide: the names of tools, of which all arguments and answers are hidden, and ``tool.argument``s.

    One is used for one session: it remembers whose answers are still awaited.
    """

    def __init__(self, names: Collection[str]) -> None:
        if isinstance(names, str) or not all(name and "." not in name[:1] for name in names):
            raise ConfigurationError("redact", "write a list of tools' names, or of 'tool.argument'")
        self._tools = {name for name in names if "." not in name}
        self._arguments = {tuple(name.rsplit(".", 1)) for name in names if "." in name}
        self._positions: dict[str, list[str]] = {}
        self._awaited: set[int] = set()
        self._waiting: set[int] = set()

    def learn(self, specs: list[ToolSpec]) -> None:
        """Take note of the tools' parameters, so that an argument is found wherever it stands."""
        self._waiting.clear()
        self._positions = {spec["name"]: [parameter[0] for parameter in spec["params"]] for spec in specs}

    def event(self, frame: bytes, reply: bytes | None) -> RecordedCall:
        """Return a call frame and its reply as they may be recorded."""
        if not self._tools and not self._arguments:
            return RecordedCall(frame, reply, False)
        try:
            message = parse_call(frame)
        except ProtocolError:
            return RecordedCall(frame, reply, False)
        if isinstance(message, Call | Start):
            return self._call(message, frame, reply)
        return self._waited(frame, reply) if isinstance(message, Wait) else RecordedCall(frame, reply, False)

    def resumption(self, request: bytes) -> bytes:
        """Return a request to resume a program, with the answers to secret calls hidden; another one as it is."""
        if not self._waiting:
            return request
        message: Any = decode(request)
        if message[0] != Op.RESUME:
            return request
        answers = [_hidden_item(item) if item[0] in self._waiting else item for item in message[1]]
        self._waiting.difference_update(item[0] for item in answers)
        return encode([message[0], answers, message[2]])

    def shown(self, frame: bytes) -> bytes:
        """Return a call frame as :meth:`event` would record it."""
        return self.event(frame, None).frame

    def _call(self, call: Call | Start, frame: bytes, reply: bytes | None) -> RecordedCall:
        secret = call.name in self._tools
        args, kwargs = ([HIDDEN], {}) if secret else self._without(call)
        hidden = secret or args != call.args or kwargs != call.kwargs
        if secret and reply is not None and self._waits(reply):
            return RecordedCall(self._secret(call), reply, hidden)
        if isinstance(call, Start):
            self._awaited.update([call.id] * secret)
            shown: list[Any] = [_START, call.id, call.name, args, kwargs]
        else:
            shown = [_CALL, call.name, args, kwargs]
            reply = _hide(reply) if secret and reply is not None else reply
        return RecordedCall(encode(shown) if hidden else frame, reply, hidden)

    def _waits(self, reply: bytes) -> bool:
        """Return whether a secret call waits, and remember it."""
        message: Any = decode(reply)
        waits: bool = message[0] == 2
        self._waiting.update([message[1]] * waits)
        return waits

    def _secret(self, call: Call | Start) -> bytes:
        before = [_START, call.id] if isinstance(call, Start) else [_CALL]
        keywords: dict[str, Any] = {}
        return encode([*before, call.name, [HIDDEN], keywords])

    def _without(self, call: Call | Start) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments with those that are to be hidden hidden."""
        names = self._positions.get(call.name, [])
        padded = [*names, *[""] * len(call.args)]
        args = [self._shown(call.name, name, value) for name, value in zip(padded, call.args, strict=False)]
        return args, {name: self._shown(call.name, name, value) for name, value in call.kwargs.items()}

    def _shown(self, tool: str, argument: str, value: Any) -> Any:
        return HIDDEN if (tool, argument) in self._arguments else value

    def _waited(self, frame: bytes, reply: bytes | None) -> RecordedCall:
        if reply is None or not self._awaited:
            return RecordedCall(frame, reply, False)
        message: Any = decode(reply)
        items = message[1] if is_list(message) and len(message) == 2 and is_list(message[1]) else []
        shown = [self._item(item) for item in items]
        return RecordedCall(frame, encode([0, shown]), True) if shown != items else RecordedCall(frame, reply, False)

    def _item(self, item: Any) -> Any:
        if item[0] not in self._awaited:
            return item
        self._awaited.discard(item[0])
        return _hidden_item(item)


def _hidden_item(item: Any) -> Any:
    return [item[0], 0, HIDDEN] if item[1] == 0 else [item[0], 1, item[2], HIDDEN]


def _hide(reply: bytes) -> bytes:
    message: Any = decode(reply)
    return encode([0, HIDDEN] if message[0] == 0 else [1, message[1], HIDDEN])


_MAX_BYTES = 64 << 20
# What a small event weighs beside its bytes.
_EVENT_SIZE = 64


class Recorder:
    """Records one session: pass it to ``Sandbox.run``, ``Sandbox.session`` or ``Sandbox.restore``.

    ``redact`` names tools of which neither arguments nor answers are recorded, or single arguments as
    ``"tool.argument"``. What the program does with a secret that it was given, such as printing it, is recorded.
    ``max_bytes`` is the size at which recording stops, in the middle of a run; default 64 MiB.

    Raises ConfigurationError for names that are none.
    """

    def __init__(self, redact: Collection[str] = (), *, max_bytes: int = _MAX_BYTES) -> None:
        self._redaction = Redaction(redact)
        self._room = max_bytes
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

    def asked(self, run: RecordedRun, frame: bytes, reply: bytes | None, place: int | None = None) -> None:
        """Record a call, as the last event or at its place among them."""
        self._add(run, self._redaction.event(frame, reply), len(frame) + len(reply or b""), place)

    def answered_by_host(self, run: RecordedRun, event: RecordedClock | RecordedEntropy) -> None:
        """Record a look at the clock, or random bytes."""
        self._add(run, event, len(event.data) if isinstance(event, RecordedEntropy) else 0)

    def answered(self, run: RecordedRun, response: bytes) -> None:
        """Record a response of the guest."""
        self._take(run, len(response))
        if not run.cut:
            run.responses.append(response)

    def _add(self, run: RecordedRun, event: RecordedEvent, size: int, place: int | None = None) -> None:
        self._take(run, size + _EVENT_SIZE)
        if not run.cut:
            run.events.insert(len(run.events) if place is None else place, event)

    def _take(self, run: RecordedRun, size: int) -> None:
        self._room -= size
        run.cut = run.cut or self._room <= 0


class RecordingHandlers:
    """Listens between a guest and its handlers while ``run`` is set."""

    def __init__(self, handlers: Handlers, recorder: Recorder) -> None:
        self._handlers = handlers
        self._recorder = recorder
        self.run: RecordedRun | None = None
        # A call without an answer yet, and its place among the events.
        self._unanswered: tuple[bytes, int | None] = (b"", None)

    def call(self, frame: bytes) -> bytes:
        """Answer a call frame."""
        # The empty one asks for the answer to the last one.
        asked, place = (frame, None) if frame else self._unanswered
        try:
            reply = self._handlers.call(frame)
        except BaseException:
            self._asked(asked, None, place)
            raise
        if reply is UNANSWERED:
            self._unanswered = frame, 0 if self.run is None else len(self.run.events)
        else:
            self._asked(asked, reply, place)
        return reply

    def write(self, stream: int, data: bytes) -> None:
        """Take a piece of output."""
        self._handlers.write(stream, data)

    def clock(self, which: int) -> int:
        """Return the time."""
        moment = self._handlers.clock(which)
        self._note(RecordedClock(which, moment))
        return moment

    def entropy(self, size: int) -> bytes:
        """Return random bytes."""
        data = self._handlers.entropy(size)
        self._note(RecordedEntropy(data))
        return data

    def _asked(self, frame: bytes, reply: bytes | None, place: int | None = None) -> None:
        if self.run is not None:
            self._recorder.asked(self.run, frame, reply, place)

    def _note(self, event: RecordedClock | RecordedEntropy) -> None:
        if self.run is not None:
            self._recorder.answered_by_host(self.run, event)
