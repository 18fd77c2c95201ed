"""What one run has used, printed and done so far, and how it waits."""

import codecs
from _queue import Empty, SimpleQueue
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from math import inf
from typing import Any, NamedTuple, NoReturn, Protocol

from cloche.runtime.bridge.host_memory import HostMemory
from cloche.runtime.bridge.pending import PendingCalls
from cloche.runtime.bridge.transcript import RecordedRun
from cloche.runtime.errors import OutputExceeded, TimeExceeded
from cloche.runtime.limits import Limits
from cloche.runtime.machine_api import StopRun, StopSignal, now
from cloche.runtime.result import Event, Output, Stream, ToolCallRecord, Usage
from cloche.runtime.threads import longest_wait

__all__ = ["MAX_WAIT", "NO_USAGE", "Delay", "Driver", "InterruptedStep", "Listener", "OutputBuffer", "RunState"]


_BLOCK = 32_768
"""Bytes of output that are printed before it is counted anew."""

_new_decoder = codecs.getincrementaldecoder("utf-8")


class OutputBuffer:
    """The bytes of one stream of one run."""

    __slots__ = ("_data", "_decoder", "limit", "stream")

    def __init__(self, stream: Stream, limit: int) -> None:
        self.stream: Stream = stream
        self.limit = limit
        self._data: bytearray | None = None
        self._decoder: codecs.IncrementalDecoder | None = None

    def __len__(self) -> int:
        return len(self._data) if self._data else 0

    def add(self, data: bytes) -> OutputExceeded | None:
        """Keep what fits, and return the error if that is not all."""
        if self._data is None:
            self._data = bytearray()
        used = len(self._data) + len(data)
        if used <= self.limit:
            self._data += data
            return None
        self._data += data[: self.limit - len(self._data)]
        return OutputExceeded(self.stream, used, self.limit)

    def cost(self) -> int:
        """Return what is kept takes at the end, when it is text as well: a character takes up to four bytes there."""
        return 0 if self._data is None else len(self._data) * (2 if self._data.isascii() else 5)

    def content(self) -> bytes:
        """Return everything kept."""
        return bytes(self._data or b"")

    def text(self) -> str:
        """Return everything kept, with invalid UTF-8 replaced."""
        return self._data.decode("utf-8", "replace") if self._data else ""

    def newer_text(self, start: int, final: bool = False) -> str:
        """Return the text of the bytes kept since position ``start``, holding back a character cut in two."""
        if self._decoder is None:
            self._decoder = _new_decoder("replace")
        return self._decoder.decode(bytes(self._data[start:]) if self._data else b"", final)


MAX_WAIT = 1e9
"""Seconds beyond which a wait counts as one without end."""

Listener = Callable[[Event], object]
"""Called with each event, on the guest's thread, while the guest stands still."""

NO_USAGE = Usage(0, 0.0, 0, 0, 0)
"""What a run has used before it begins."""


class Delay:
    """What a run waits for, until ``is_over()`` or until that moment.

    Of a call without an answer yet ``finish`` makes the answer then, and ``give_up`` is called if it is not made any
    more; ``place`` is where the tape has kept room for it, if it records.
    """

    __slots__ = ("finish", "give_up", "is_over", "place", "until")

    def __init__(self, is_over: Callable[[], bool], until: float) -> None:
        self.is_over = is_over
        self.until = until
        self.finish: Callable[[], bytes] = bytes
        self.give_up: Callable[[], object] = bytes
        self.place: list[Any] | None = None


class Driver(Protocol):
    """Has a run continue that has left its thread. ``leaves`` says whether it can do that, or waits on its thread."""

    leaves: bool

    def poke(self) -> None:
        """From any thread: something has come that the run may wait for."""
        ...

    def standing_in(self) -> AbstractContextManager[None]:
        """Return what has another thread stand in for this one while it is entered, as the run waits on it."""
        ...


class InterruptedStep(NamedTuple):
    """A request in the middle of which a program is paused, and what the tape has of its answers so far."""

    request: bytes
    answers: tuple[list[Any] | None, int]


class RunState:
    """One run's account. Used by the guest's thread; only :meth:`interrupt` and :meth:`post` by others too.

    ``stop`` says when and why it must end. ``streams`` are stdout and stderr, None before anything was
    printed.
    ``tool`` is the name of the one that is being called, and ``tools`` says which ones are waited for.
    ``waiting`` holds the calls that wait for answers, and is None where none ever does; ``carried`` is what it had
    used when it was suspended the last time; ``record`` is where it is recorded, if it is.
    ``interrupted_step`` is there while it is paused: the request that it is in the middle of, and the answers so far.

    ``driver`` is there for a run that leaves its thread where it waits. ``wait`` is then what it waits for, if it does.
    """

    # Defaults here rather than slots set one by one: one is made for each run, which uses few of them.
    carried: Usage = NO_USAGE
    record: RecordedRun | None = None
    interrupted_step: InterruptedStep | None = None
    streams: tuple[OutputBuffer, OutputBuffer] | None = None
    calls_made = 0
    tool = ""
    tools = ""
    hands_over = False
    driver: Driver | None = None
    wait: Delay | None = None
    _memory: HostMemory | None = None
    _uncounted = _BLOCK

    def __init__(self, limits: Limits, listener: Listener | None = None, waiting: PendingCalls | None = None) -> None:
        self.limits = limits
        self.waiting = waiting
        self.listener = listener
        self.calls: list[ToolCallRecord] = []
        self.finished: deque[Any] = deque()
        self._mail: SimpleQueue[Any] = SimpleQueue()
        self.started = now()
        self.stop = StopSignal()
        if limits.time is not None:
            self.stop.deadline = self.started + limits.time

    @property
    def doing(self) -> str:
        """What is being waited for, in words; empty while the guest runs."""
        return f"the tool {self.tool!r}" if self.tool else self.tools

    @property
    def memory(self) -> HostMemory:
        """What it takes of the host's memory."""
        if self._memory is None:
            self._memory = HostMemory(self.limits.host_memory, self.calls, self.stop)
        return self._memory

    def rest(self) -> None:
        """Note that no work on its messages is left for now."""
        if self._memory is not None and self._memory.hurries:
            self._memory.rest()

    @property
    def stdout(self) -> OutputBuffer:
        """What was printed."""
        return self._open_streams()[0]

    @property
    def stderr(self) -> OutputBuffer:
        """What was printed on the other stream."""
        return self._open_streams()[1]

    @property
    def output_bytes(self) -> int:
        """How much was printed on both."""
        return 0 if self.streams is None else sum(map(len, self.streams))

    def output(self) -> tuple[str, str]:
        """Return what was printed on each."""
        return ("", "") if self.streams is None else (self.streams[0].text(), self.streams[1].text())

    def start(self) -> None:
        """Begin to count the time, or continue where it was suspended."""
        self.started = now() - self.carried.wall
        self.stop.deadline = inf if self.limits.time is None else self.started + self.limits.time

    def resume(self, listener: Listener | None) -> None:
        """Prepare a run that was suspended for its next part: what came too late to end the last one ends nothing."""
        self.listener = listener
        self.stop = StopSignal()
        if self._memory is not None:
            self._memory.stop = self.stop
        self.start()

    def end(self, reason: BaseException) -> NoReturn:
        """End the run from inside a handler; the first reason is the one that counts."""
        self.stop.set(reason)
        raise StopRun(self.stop.reason or reason)

    def check(self) -> None:
        """End the run if it was interrupted or its time is over."""
        stop = self.stop
        if stop.reason is not None:
            raise StopRun(stop.reason)
        if now() >= stop.deadline:
            self.end(self.time_exceeded())

    def time_exceeded(self) -> TimeExceeded:
        """Return the error for a run whose time is over now."""
        return TimeExceeded(now() - self.started, self.limits.time or 0.0, self.doing)

    def interrupt(self, reason: BaseException) -> None:
        """From any thread: end the run at its next handler, and wake it if it waits in one."""
        self.stop.set(reason)
        self._mail.put(None)
        if self.driver is not None:
            self.driver.poke()

    def post(self, mail: Any = None) -> None:
        """From any thread: wake the run; ``mail`` that is not None is put among ``finished``."""
        self._mail.put(mail)
        if self.driver is not None:
            self.driver.poke()

    def still_waits(self) -> bool:
        """Return whether a run that has left its thread has nothing to do yet. By one thread at a time."""
        wait = self.wait
        if wait is None:
            return False
        self._take_mail()
        moment = now()
        return not (wait.is_over() or moment >= wait.until or self.stop.is_due(moment))

    def wait_for(self, ready: Callable[[], bool], until: float = inf, stood_in: bool = False) -> None:
        """Wait until ``ready()`` or until that moment. Ends the run at its deadline or when it is interrupted."""
        if self.driver is not None and not stood_in and not ready() and now() < until:
            with self.driver.standing_in():
                self.wait_for(ready, until, stood_in=True)
            return
        while not ready():
            moment = now()
            if moment >= until:
                # A poll has no time to wait, and wants what is there.
                self._take_mail()
                break
            if self.stop.is_due(moment):
                self.check()
            try:
                mail = self._mail.get(True, min(until - moment, self.stop.deadline - moment, longest_wait()))
            except Empty:
                continue
            if mail is not None:
                self.finished.append(mail)
        self.check()

    def _take_mail(self) -> None:
        with suppress(Empty):
            while True:
                mail = self._mail.get(False)
                if mail is not None:
                    self.finished.append(mail)

    def emit(self, event: Event) -> None:
        """Call the listener. What it raises ends the run and is raised to the caller."""
        if self.listener is None:
            return
        try:
            self.listener(event)
        except BaseException as error:
            self.end(error)

    def write(self, stream: int, data: bytes) -> None:
        """Take output of the guest; ends the run when it is more than the stream may hold."""
        buffer = self.stderr if stream == 2 else self.stdout
        start = len(buffer)
        error = buffer.add(data)
        self._uncounted -= len(data)
        if self._uncounted < 0:
            self._count_output()
        if self.listener is not None:
            self._emit_text(buffer, start)
        if error is not None:
            self.end(error)

    def _count_output(self) -> None:
        self._uncounted = _BLOCK
        self.memory.count_output(sum(buffer.cost() for buffer in self._open_streams()))

    def flush(self) -> None:
        """Send the listener what is left of a character cut in two at the very end."""
        if self.listener is not None and self.streams is not None:
            for buffer in self.streams:
                self._emit_text(buffer, len(buffer), final=True)

    def _open_streams(self) -> tuple[OutputBuffer, OutputBuffer]:
        if self.streams is None:
            limit = self.limits.output
            self.streams = OutputBuffer("stdout", limit), OutputBuffer("stderr", limit)
        return self.streams

    def _emit_text(self, buffer: OutputBuffer, start: int, final: bool = False) -> None:
        text = buffer.newer_text(start, final)
        if text:
            self.emit(Output(buffer.stream, text))
