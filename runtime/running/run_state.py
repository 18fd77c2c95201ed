"""What one run has used and done so far, and how it waits."""

from collections import deque
from collections.abc import Callable
from math import inf
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Any, NoReturn

from cloche.runtime.bridge.output import OutputBuffer
from cloche.runtime.errors import TimeExceeded
from cloche.runtime.events import Event, Output
from cloche.runtime.limits import Limits
from cloche.runtime.recording.events import RecordedRun
from cloche.runtime.result import ToolCallRecord, Usage
from cloche.runtime.seam import StopRun
from cloche.runtime.suspension.waiting import WaitingCalls

__all__ = ["LONGEST", "NOTHING", "Listener", "RunState", "now"]

LONGEST = 1e9
"""Seconds beyond which a wait is not told from one without end."""

now = perf_counter
"""Seconds on the one clock that all of a run's times are read from."""

Listener = Callable[[Event], object]
"""Called with each event, on the guest's thread, while the guest stands still."""

# threading waits take no more than some weeks on some platforms; longer waits are made of several.
_LONGEST_WAIT = 86_400.0


NOTHING = Usage(0, 0.0, 0, 0, 0)
"""What a run has used before it begins."""


class RunState:
    """One run's account. Used by the guest's thread; only :meth:`interrupt` and :meth:`post` by others too.

    ``deadline`` is a time of ``now``, infinite for none. ``streams`` are stdout and stderr, None before anything was
    printed.
    ``doing`` names the tool that is being waited for, or is empty. ``stop_reason`` is what ends the run, once known.
    ``waiting`` holds the calls that wait for answers, and is None where none ever does; ``carried`` is what it had
    used when it was suspended the last time; ``record`` is where it is recorded, if it is.
    """

    # Defaults here rather than slots set one by one: one is made for each run, and most of it is never asked for.
    carried: Usage = NOTHING
    record: RecordedRun | None = None
    streams: tuple[OutputBuffer, OutputBuffer] | None = None
    calls_made = 0
    doing = ""
    stop_reason: BaseException | None = None

    def __init__(self, limits: Limits, listener: Listener | None = None, waiting: WaitingCalls | None = None) -> None:
        self.limits = limits
        self.waiting = waiting
        self.listener = listener
        self.calls: list[ToolCallRecord] = []
        self.finished: deque[Any] = deque()
        self._mail: SimpleQueue[Any] = SimpleQueue()
        self.started = now()
        self.deadline = inf if limits.time is None else self.started + limits.time

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
        """Begin to count the time, or go on counting."""
        self.started = now() - self.carried.wall
        self.deadline = inf if self.limits.time is None else self.started + self.limits.time

    def stop(self, reason: BaseException) -> NoReturn:
        """End the run from inside a handler; the first reason is the one that counts."""
        if self.stop_reason is None:
            self.stop_reason = reason
        raise StopRun(self.stop_reason)

    def check(self) -> None:
        """End the run if it was interrupted or its time is over."""
        if self.stop_reason is not None:
            raise StopRun(self.stop_reason)
        if now() >= self.deadline:
            self.stop(self.time_exceeded())

    def time_exceeded(self) -> TimeExceeded:
        """Return the error for a run whose time is over now."""
        return TimeExceeded(now() - self.started, self.limits.time or 0.0, self.doing)

    def interrupt(self, reason: BaseException) -> None:
        """From any thread: end the run at its next handler, and wake it if it waits in one."""
        if self.stop_reason is None:
            self.stop_reason = reason
        self._mail.put(None)

    def post(self, mail: Any = None) -> None:
        """From any thread: wake the run; ``mail`` that is not None is put among ``finished``."""
        self._mail.put(mail)

    def wait_for(self, ready: Callable[[], bool], until: float | None = None) -> None:
        """Wait until ``ready()`` or until that moment. Ends the run at its deadline or when it is interrupted."""
        while not ready() and (until is None or now() < until):
            self.check()
            self._receive(until)
        self.check()

    def emit(self, event: Event) -> None:
        """Tell the listener. What it raises ends the run and is the caller's to see."""
        if self.listener is None:
            return
        try:
            self.listener(event)
        except BaseException as error:
            self.stop(error)

    def write(self, stream: int, data: bytes) -> None:
        """Take output of the guest; ends the run when it is more than the stream may hold."""
        buffer = self.stderr if stream == 2 else self.stdout
        start = len(buffer)
        error = buffer.add(data)
        if self.listener is not None:
            self._emit_text(buffer, start)
        if error is not None:
            self.stop(error)

    def flush(self) -> None:
        """Tell the listener what is left of a character cut in two at the very end."""
        if self.listener is not None and self.streams is not None:
            for buffer in self.streams:
                self._emit_text(buffer, len(buffer), final=True)

    def _open_streams(self) -> tuple[OutputBuffer, OutputBuffer]:
        if self.streams is None:
            most = self.limits.output
            self.streams = OutputBuffer("stdout", most), OutputBuffer("stderr", most)
        return self.streams

    def _emit_text(self, buffer: OutputBuffer, start: int, final: bool = False) -> None:
        text = buffer.newer_text(start, final)
        if text:
            self.emit(Output(buffer.stream, text))

    def _receive(self, until: float | None) -> None:
        mail = self._next_mail(until)
        if mail is not None:
            self.finished.append(mail)

    def _next_mail(self, until: float | None) -> Any:
        end = min(inf if until is None else until, self.deadline, now() + _LONGEST_WAIT)
        try:
            return self._mail.get(timeout=max(0.0, end - now()))
        except Empty:
            return None
