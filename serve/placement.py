"""Where sessions live: the worker processes of this machine, which of them a session goes to, and what becomes of one
that dies.
"""

import asyncio
import gc
import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from cloche.serve.forms import Channel, Problem

__all__ = [
    "Placement",
    "SessionWorker",
    "WorkerLost",
    "fast_loop",
    "first_for",
    "mixed",
    "seed_of",
    "spare_the_collector",
]

_PING = 1.0
_PATIENCE = 15
"""Pings without an answer after which a worker is taken for stuck and killed; its sessions come back elsewhere. These
are counted and not timed: where this process itself has stood still, the answers are there as soon as it looks."""
_SHORT = 1.0
"""Seconds in which a process that has closed its socket is off the system's table."""
_WORD = (1 << 64) - 1
_PAUSE = 0.5
"""Seconds before a worker is started again that died before it was ready."""


def first_for(session: str, places: Iterable[str]) -> str:
    """Return the place that comes first in a session's rendezvous order: when places change, few sessions move."""
    seed = seed_of(session)
    return min(places, key=lambda place: mixed(seed ^ seed_of(place)))


@lru_cache(8_192)
def seed_of(name: str) -> int:
    """Return 64 bits for a name of a session or a place."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())


def mixed(bits: int) -> int:
    """Return where a place stands, of the seeds' XOR: each bit of it depends on all of these.

    A checksum is linear and does not do: one of three places would come first for half of all sessions.
    """
    bits = ((bits ^ bits >> 30) * 0xBF58476D1CE4E5B9) & _WORD
    bits = ((bits ^ bits >> 27) * 0x94D049BB133111EB) & _WORD
    return bits ^ bits >> 31


class WorkerLost(Exception):
    """The worker died before it reported: what it was asked may have happened there, and is gone with it.

    ``was_killed`` says that it was by SIGKILL, and not by the server itself.
    """

    def __init__(self, worker: str, was_killed: bool = False) -> None:
        super().__init__(worker, was_killed)
        self.was_killed = was_killed


class SessionWorker:
    """A worker process, seen from the gateway."""

    def __init__(
        self,
        name: str,
        threads: int,
        on_lost: "Callable[[SessionWorker], None]",
        module: str = "cloche.serve.worker",
    ) -> None:
        self._threads, self._module = threads, module
        self.name = name
        self.pid = 0
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.alive = True
        self.sessions: set[str] = set()
        self.memory = 0
        """Bytes of private memory when it was looked at last."""
        self.full = False
        self.unanswered = 0
        """Pings since it answered one."""
        self._on_lost = on_lost
        self._doomed = False
        self._burial: asyncio.Future[None] | None = None
        self._count = 0
        self._waiting: dict[int, tuple[asyncio.Future[Any], Callable[[str, bytes], None] | None]] = {}
        self._channel = Channel(self._on_message, self._lost)
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start the process. It is ``ready`` when it has loaded the image."""
        ours, theirs = socket.socketpair()
        with theirs:
            # It returns when the program has been loaded, which may take the disk's time.
            self._process = await asyncio.to_thread(self._spawned, theirs.fileno())
        self.pid = self._process.pid
        await asyncio.get_running_loop().create_connection(lambda: self._channel, sock=ours)

    def _spawned(self, descriptor: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", self._module, str(descriptor), str(self._threads)]
        return subprocess.Popen(command, pass_fds=[descriptor], stdin=subprocess.DEVNULL)

    async def call(self, order: str, on_event: Callable[[str, bytes], None] | None = None, **arguments: Any) -> Any:
        """Give an order and return the report. Raises Problem as the worker does, and WorkerLost."""
        if not self.alive:
            raise WorkerLost(self.name)
        self._count += 1
        number = self._count
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future, on_event
        self._channel.send([number, order, arguments])
        try:
            return await future
        finally:
            self._waiting.pop(number, None)

    def _ended_by(self, number: int) -> bool:
        """Return whether the process, whose socket is closed, was ended by that signal. Blocks until it has ended."""
        if self._process is None:
            return False
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(_SHORT) == -number
        return False

    def kill(self) -> None:
        """End the process at once."""
        self._doomed = True
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)

    async def close(self) -> None:
        """Let the process end, and wait for it."""
        self.alive = False
        self._channel.close()
        if self._process is not None:
            try:
                await asyncio.to_thread(self._process.wait, 5.0)
            except subprocess.TimeoutExpired:
                self.kill()
                await asyncio.to_thread(self._process.wait)

    def measure(self) -> int:
        """Return and keep the bytes of memory that are this process's own."""
        with suppress(OSError, ValueError, IndexError):
            status = Path(f"/proc/{self.pid}/status").read_text()
            self.memory = int(status.partition("RssAnon:")[2].split()[0]) << 10
        return self.memory

    def _on_message(self, message: list[Any]) -> None:
        number, kind, *rest = message
        if kind == "ready":
            if not self.ready.done():
                self.ready.set_result(None)
            return
        future, on_event = self._waiting.get(number, (None, None))
        if future is None or future.done():
            return
        if kind == "event":
            if on_event is not None:
                on_event(*rest)
        elif kind == "done":
            future.set_result(rest[0])
        else:
            form = dict(rest[0])
            known = {key: form.pop(key) for key in ("status", "code", "message", "cause", "remedy") if key in form}
            form.pop("type", None)
            form.pop("title", None)
            future.set_exception(Problem(**known, **form))

    def _lost(self) -> None:
        was_alive, self.alive = self.alive, False
        if not self.ready.done():
            self.ready.set_exception(WorkerLost(self.name))
            self.ready.exception()
        if was_alive:
            self._on_lost(self)
            self._burial = asyncio.ensure_future(self._bury())
        else:
            self._fail(False)

    async def _bury(self) -> None:
        """Tell those who wait how the process has ended, which may take it a moment; end it, if it has not."""
        self._fail(not self._doomed and await asyncio.to_thread(self._ended_by, signal.SIGKILL))
        self.kill()

    def _fail(self, was_killed: bool) -> None:
        waiting, self._waiting = self._waiting, {}
        for future, _ in waiting.values():
            if not future.done():
                future.set_exception(WorkerLost(self.name, was_killed))

    def reap(self) -> None:
        """Take the ended process off the system's table."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(5.0)


class Placement:
    """The workers of this machine, and a spare one that takes a dead one's place at once.

    A session goes to the worker that comes first for it by rendezvous hashing, so that a change of workers moves few.
    """

    def __init__(self, count: int, *, max_live: int, max_memory: int, on_lost: Callable[[SessionWorker], None]) -> None:
        self.workers: list[SessionWorker] = []
        self.deaths = 0
        self._count, self._max_live, self._max_memory = count, max_live, max_memory
        # Programs that compute at once, over all workers, are as many as there are cores, or one for each worker.
        self._threads = max(1, (os.cpu_count() or 1) // count)
        self._on_lost = on_lost
        self._spare: SessionWorker | None = None
        self._made = 0
        self._settings: dict[str, Any] = {}
        self._closing = self._refilling = False
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self, settings: dict[str, Any]) -> None:
        """Start the workers, and return when each is ready. Raises WorkerLost where one cannot start."""
        self._settings = settings
        self.workers = list(await asyncio.gather(*(self._started() for _ in range(self._count))))
        self._begin_refill()
        self._background(self._watch())

    async def configure(self, settings: dict[str, Any]) -> None:
        """Hand new settings of the tenants to all workers."""
        self._settings = settings
        for worker in [*self.workers, *([] if self._spare is None else [self._spare])]:
            with suppress(WorkerLost):
                await worker.call("tenants", settings=settings)

    async def choose(self, sid: str) -> SessionWorker:
        """Return the worker for a session. Raises Problem where none has room."""
        for _ in range(600):
            able = [worker for worker in self.workers if worker.alive]
            open_to_more = [w for w in able if not w.full and len(w.sessions) < self._max_live]
            if open_to_more:
                names = {worker.name: worker for worker in open_to_more}
                return names[first_for(sid, names)]
            if able or self._closing:
                break
            # All have died at once; new ones are on their way.
            await asyncio.sleep(0.05)
        raise Problem(
            503,
            "no_capacity",
            "no worker has room for another session",
            cause="the workers' sessions or memory",
            remedy="try again later; close sessions that are not needed",
            retry_after=2.0,
        )

    @property
    def is_ready(self) -> bool:
        """Whether a worker can take requests."""
        return any(worker.alive for worker in self.workers)

    async def close(self) -> None:
        """End all workers."""
        self._closing = True
        for task in tuple(self._tasks):
            task.cancel()
        spare = [] if self._spare is None else [self._spare]
        await asyncio.gather(*(worker.close() for worker in [*self.workers, *spare]))

    async def _started(self) -> SessionWorker:
        self._made += 1
        worker = SessionWorker(f"w{self._made}", self._threads, self._died)
        await worker.start()
        await worker.ready
        await worker.call("tenants", settings=self._settings)
        return worker

    async def _refill(self) -> None:
        """Start what is missing: workers, and the spare one."""
        while not self._closing:
            missing = self._count - len(self.workers) + (self._spare is None)
            if missing <= 0:
                break
            made = await asyncio.gather(*(self._started() for _ in range(missing)), return_exceptions=True)
            for worker in made:
                if not isinstance(worker, SessionWorker) or not worker.alive:
                    # It may also have died while the others were started.
                    await asyncio.sleep(_PAUSE)
                elif len(self.workers) < self._count:
                    self.workers.append(worker)
                else:
                    self._spare = worker
        self._refilling = False

    def _begin_refill(self) -> None:
        if not self._refilling and not self._closing:
            self._refilling = True
            self._background(self._refill())

    def _died(self, worker: SessionWorker) -> None:
        self._background(asyncio.to_thread(worker.reap))
        if worker is self._spare:
            self._spare = None
            self._begin_refill()
            return
        if worker not in self.workers:
            # It was being started, and whoever does that knows.
            return
        self.deaths += 1
        self.workers.remove(worker)
        if self._spare is not None:
            self.workers.append(self._spare)
            self._spare = None
        self._on_lost(worker)
        self._begin_refill()

    async def _watch(self) -> None:
        """Look after the workers: memory, and whether they answer."""
        while True:
            await asyncio.sleep(_PING)
            for worker in tuple(self.workers):
                worker.full = worker.measure() > self._max_memory
                if worker.memory > 2 * self._max_memory or worker.unanswered >= _PATIENCE:
                    worker.kill()
                else:
                    worker.unanswered += 1
                    self._background(self._ping(worker))

    async def _ping(self, worker: SessionWorker) -> None:
        with suppress(WorkerLost, Problem):
            await worker.call("ping")
            worker.unanswered = 0

    def _background(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes uvloop's event loop, None where that is not installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def spare_the_collector() -> None:
    """Have the garbage collector look at what there is now no more, and at the rest less often.

    What a process is made of stays as long as it does, and with it a full collection stops all sessions for 50 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
