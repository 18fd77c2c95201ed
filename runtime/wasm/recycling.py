"""Instances used again: one that ended well is put back to what the image made of it, and serves the next run.

A fresh instance costs a millisecond, nearly all of it page faults: each page it touches is mapped anew, each it writes
is copied. Its state is its linear memory and one global, the stack pointer; so writing the image's bytes over every
page that is not the image's any more makes it a fresh one whose pages are in place. What remains of a run is not a
matter of trust in the guest: the pages to restore are those that the kernel says were written, whoever wrote them.

To ask the kernel costs more than to copy what it answers. So a guest keeps the answer, and the kernel is asked again
only if the thread that ran the guest has taken a page fault since: the first write to a page is one, without
exception, and it is counted before the write. See :class:`OwnPages`.
"""

import ctypes
import os
import threading
from _queue import SimpleQueue  # Python's own, also where gevent has put one of its own into the module queue
from collections.abc import Callable
from functools import partial
from time import monotonic, sleep
from typing import Generic, Protocol, TypeVar

from cloche.runtime.wasm import native
from cloche.runtime.wasm.memory import Memory, Span, written_spans

__all__ = [
    "LEISURE",
    "MAX_IDLE",
    "BackgroundThread",
    "InstancePool",
    "OwnPages",
    "Recyclable",
    "background_thread",
    "copier",
]


_Work = Callable[[], object]


class BackgroundThread:
    """Does one thing after the other, on a thread that is started with the first and sleeps when there is none."""

    def __init__(self) -> None:
        self._start_over()
        if hasattr(os, "register_at_fork"):
            # The child has no thread; what was left to do is left undone.
            os.register_at_fork(after_in_child=self._start_over)

    def do(self, work: _Work) -> None:
        """Have something done soon. What it raises is shown like any thread's error, and ends nothing."""
        if not self._started:
            with self._lock:
                if not self._started:
                    self._start()
        self._queue.put(work)

    def _start_over(self) -> None:
        self._lock = threading.Lock()
        self._queue: SimpleQueue[_Work] = SimpleQueue()
        self._started: bool = False

    def _start(self) -> None:
        threading.Thread(target=_serve, args=(self._queue,), name="cloche-background", daemon=True).start()
        self._started = True


def _serve(queue: "SimpleQueue[_Work]") -> None:
    while True:
        try:
            queue.get()()
        except Exception as error:
            threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, None)))


background_thread = BackgroundThread()
"""The process's one."""


MAX_IDLE = 16
"""Idle guests that are kept for each image and metering, if that is not too much memory: four in any case."""
_REST = 0.1
"""Seconds between a guest's being taken and the making of those that are missing: others may be taken meanwhile, by
whom the cores are needed more."""
_USUAL = 1 << 18
"""Bytes that a usual run writes at most."""
LEISURE = 0.001
"""Seconds that a guest waits to be taken before it is restored in the background."""
# A guest that wrote more than this is cheaper made anew, and would hold the memory while it idles: of a large image,
# whose programs write to more of it, a part. To copy a page takes a fifth of the time that its first write takes.
_MAX_WRITTEN, _MAX_PART = 1 << 20, 32
_FEW_IDLE, _MAX_HELD = 4, 16 << 20


Faults = tuple[int, int, int]
"""A process, a thread of it, and the page faults that this thread has taken in its life.

The thread is the kernel's number: the one that Python gives is soon another thread's, which may have taken as many.
"""


def _count_no_faults() -> Faults | None:
    return None


def _find_fault_counter() -> Callable[[], Faults | None]:
    try:
        import resource

        # Linux only; elsewhere a thread's own faults are not counted apart from its neighbours'.
        this_thread = resource.RUSAGE_THREAD
    except (ImportError, AttributeError):
        return _count_no_faults
    getrusage, getpid, get_native_id = resource.getrusage, os.getpid, threading.get_native_id

    def count() -> Faults:
        usage = getrusage(this_thread)
        # A page of the image that is not in the page cache is a major fault, all others are minor ones.
        return getpid(), get_native_id(), usage.ru_minflt + usage.ru_majflt

    return count


count_faults: Callable[[], Faults | None] = _find_fault_counter()
"""Return the calling thread's page faults so far; None where the system does not count them by thread."""


class OwnPages:
    """Which pages of a guest's memory are its own and no longer the image's, as far as the host knows.

    ``spans`` is what the kernel said last, or None where that may have changed since. It cannot have changed if one
    thread alone has written the memory, and took no page fault meanwhile. After a fork the process differs, so a child
    asks again. A page that was swapped out stays the guest's own.
    """

    __slots__ = ("_copied", "_copy", "_since", "spans")

    def __init__(self) -> None:
        self.spans: list[Span] | None = None
        self._since: Faults | None = None
        # Copies those spans, as long as it is the same list: found once, for many runs.
        self._copy: Callable[[], object] | None = None
        self._copied: list[Span] | None = None

    def restore(self, memory: Memory, source: memoryview, max_bytes: int) -> bool:
        """Write the bytes of ``source``, of which there are as many, over all pages that are the guest's own.

        False, and nothing is changed, if these are more bytes than ``max_bytes``.
        """
        if self.spans is None:
            self.spans = written_spans(memory.view())
        if self._copy is None or self._copied is not self.spans:
            self._copy, self._copied = copier(memory.view(), source, self.spans, max_bytes), self.spans
        if self._copy is None:
            return False
        self._copy()
        return True

    def watch(self) -> None:
        """The calling thread runs the guest from here on."""
        self._since = count_faults() if self.spans is not None else None

    def spoil(self) -> None:
        """Another thread may write the memory: the faults of one thread say nothing then."""
        self._since = None

    def settle(self) -> None:
        """The guest runs no more. What is known of its pages stays known only if it is certain."""
        since, self._since = self._since, None
        if since is None or since != count_faults():
            self.spans = None


class Recyclable(Protocol):
    """What the shelf needs of a guest."""

    memory: Memory
    pages: OwnPages

    def stack_pointer(self) -> int:
        """Return the guest's own stack pointer."""
        ...

    def set_stack_pointer(self, address: int) -> None:
        """Set the guest's own stack pointer."""
        ...

    def vacate(self) -> None:
        """Drop the machine that was served, and every view of the memory."""
        ...

    def close(self) -> None:
        """Free the guest."""
        ...


Guest = TypeVar("Guest", bound=Recyclable)


class InstancePool(Generic[Guest]):
    """Idle guests of one module, each as the image left it. May be shared by all threads.

    ``pristine`` is a guest that is never run, to copy from: it takes address space, and no memory. A guest that is put
    back is restored by whoever takes it next; if it is not taken at once, in the background: while the process is
    busy, a second thread would only cost it more.
    """

    def __init__(self, pristine: Guest, leisure: float = LEISURE) -> None:
        self._leisure = leisure
        self._source = pristine.memory.view()
        self._size = len(self._source)
        self._stack_pointer = pristine.stack_pointer()
        self._pristine = pristine
        self._idle: list[Guest] = []
        self._used: list[tuple[Guest, float]] = []
        self._is_waited_for = False
        self._stock = 0
        self._make: Callable[[], Guest] | None = None
        self._is_short = False
        self._usual: list[Span] = []

    def stock(self, count: int, make: Callable[[], Guest]) -> None:
        """Have at least so many idle guests from now on, which ``make`` makes, later ones in the background."""
        self._stock, self._make = count, make
        self._fill(count)

    @property
    def _max_written(self) -> int:
        """The bytes that a guest may have written, which it holds while it idles."""
        return max(_MAX_WRITTEN, self._size // _MAX_PART)

    @property
    def _max_idle(self) -> int:
        return max(self._stock, _FEW_IDLE, min(MAX_IDLE, _MAX_HELD // max(1, self._max_written)))

    def take(self) -> Guest | None:
        """Return an idle guest, which is the caller's from now on; None if there is none."""
        try:
            guest: Guest | None = self._idle.pop()
        except IndexError:
            guest = self._take_used()
        if guest is not None:
            guest.pages.watch()
        if len(self._idle) < self._stock and not self._is_short:
            self._is_short = True
            background_thread.do(self._fill_soon)
        return guest

    def put(self, guest: Guest) -> bool:
        """Keep a guest between two requests.

        False if it is to be freed: there are enough, or its memory has grown, which would be held until it is restored.
        """
        if len(self._idle) + len(self._used) >= self._max_idle or guest.memory.size() != self._size:
            return False
        guest.pages.settle()
        guest.vacate()
        self._used.append((guest, monotonic()))
        if not self._is_waited_for:
            self._is_waited_for = True
            background_thread.do(self._restore_at_leisure)
        return True

    def renew(self, guest: Guest) -> bool:
        """Make of a guest that has run, and stays with its machine, what the image made. False if it is to be freed.

        Before it runs again, its pages are to be watched.
        """
        guest.pages.settle()
        return self._restore(guest)

    def _fill_soon(self) -> None:
        sleep(_REST)
        self._is_short = False
        self._fill(self._stock)

    def _fill(self, count: int) -> None:
        while self._make is not None and len(self._idle) < count:
            guest = self._make()
            # Written with what they have: the pages that a run writes are its own then, before there is a run.
            write = copier(guest.memory.view(), self._source, self._usual, self._max_written)
            if write is not None:
                write()
            self._idle.append(guest)

    def _restore_at_leisure(self) -> None:
        while self._is_waited_for:
            sleep(self._leisure)
            # First this, then the look: whoever puts one back meanwhile has it waited for again.
            self._is_waited_for = False
            for _, since in tuple(self._used):
                if monotonic() - since >= self._leisure:
                    self._restore_oldest()
            self._is_waited_for = self._is_waited_for or bool(self._used)

    def _restore_oldest(self) -> None:
        guest = self._take_used(0)
        if guest is not None:
            self._idle.append(guest)

    def _take_used(self, place: int = -1) -> Guest | None:
        try:
            guest, _ = self._used.pop(place)
        except IndexError:
            return None
        if self._restore(guest):
            return guest
        guest.close()
        return None

    def _restore(self, guest: Guest) -> bool:
        if guest.memory.size() != self._size or not guest.pages.restore(guest.memory, self._source, self._max_written):
            return False
        guest.set_stack_pointer(self._stack_pointer)
        spans = guest.pages.spans
        if spans is not None and spans is not self._usual and sum([end - start for start, end in spans]) <= _USUAL:
            self._usual = spans
        return True


def copier(memory: memoryview, source: memoryview, spans: list[Span], max_bytes: int) -> Callable[[], object] | None:
    """Return what copies these spans; None if that is too much."""
    if sum([end - start for start, end in spans]) > max_bytes:
        return None
    to, from_, copy = _address(memory), _address(source), ctypes.memmove
    if native.host is not None:
        return partial(native.host.copy, to, from_, spans)

    def copy_each() -> None:
        for start, end in spans:
            copy(to + start, from_ + start, end - start)

    return copy_each


def _address(memory: memoryview) -> int:
    return ctypes.addressof(ctypes.c_ubyte.from_buffer(memory))
