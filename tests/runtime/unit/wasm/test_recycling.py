"""Idle guests: restored by whoever takes them, or at leisure; with guests that are none."""

import mmap
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from cloche.runtime.wasm import recycling
from cloche.runtime.wasm.recycling import MAX_IDLE, BackgroundThread, InstancePool, OwnPages

_PAGE = 1 << 16


class FakeMemory:
    def __init__(self, content: bytes) -> None:
        self.content = bytearray(content * _PAGE)

    def view(self) -> memoryview:
        return memoryview(self.content)

    def size(self) -> int:
        return len(self.content)


class FakeGuest:
    """Notes which thread restored it, of which setting its stack pointer is the last step."""

    def __init__(self, content: bytes = b"used") -> None:
        self.memory: Any = FakeMemory(content)
        self.pages = OwnPages()
        self.restored_by = ""
        self.pointer = 99
        self.vacated = self.closed = False

    def stack_pointer(self) -> int:
        return 1

    def set_stack_pointer(self, address: int) -> None:
        self.pointer = address
        self.restored_by = threading.current_thread().name

    def vacate(self) -> None:
        self.vacated = True

    def close(self) -> None:
        self.closed = True

    @property
    def is_fresh(self) -> bool:
        return self.memory.content == b"good" * _PAGE and self.pointer == 1


@pytest.fixture
def shelf() -> InstancePool[FakeGuest]:
    return InstancePool(FakeGuest(b"good"))


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_who_takes_a_guest_at_once_restores_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recycling, "background_thread", BackgroundThread())
    shelf, guest = InstancePool(FakeGuest(b"good"), leisure=3_600), FakeGuest()
    assert shelf.put(guest)
    assert guest.vacated
    assert shelf.take() is guest
    assert guest.restored_by == threading.current_thread().name
    assert guest.is_fresh
    assert shelf.take() is None


def test_an_idle_guest_is_restored_in_the_background(shelf: InstancePool[FakeGuest]) -> None:
    guests = [FakeGuest(), FakeGuest(), FakeGuest()]
    for guest in guests:
        assert shelf.put(guest)
        until(partial(getattr, guest, "restored_by"))
        assert guest.restored_by == "cloche-background"
        assert guest.is_fresh
    taken: list[FakeGuest | None] = []
    until(lambda: set(guests) <= set(_and_one_more(taken, shelf)))


def _and_one_more(taken: list[FakeGuest | None], shelf: InstancePool[FakeGuest]) -> list[FakeGuest | None]:
    taken.append(shelf.take())
    return taken


def test_a_guest_whose_memory_has_grown_is_not_kept(shelf: InstancePool[FakeGuest]) -> None:
    grown = FakeGuest(b"grown since")
    assert not shelf.put(grown)
    assert not grown.vacated


def test_a_guest_that_cannot_be_restored_is_freed(
    shelf: InstancePool[FakeGuest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recycling, "_MAX_WRITTEN", 0)
    monkeypatch.setattr(recycling, "_MAX_PART", 1 << 40)
    hopeless = FakeGuest()
    shelf.put(hopeless)
    until(lambda: hopeless.closed)
    assert shelf.take() is None


def test_a_guest_of_a_large_image_may_have_written_more(
    shelf: InstancePool[FakeGuest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recycling, "_MAX_WRITTEN", 0)
    monkeypatch.setattr(recycling, "_MAX_PART", 1)
    guest = FakeGuest()
    shelf.put(guest)
    until(lambda: guest.restored_by)
    assert shelf.take() is guest


def test_no_more_than_a_few_are_kept(shelf: InstancePool[FakeGuest]) -> None:
    guests = [FakeGuest() for _ in range(MAX_IDLE)]
    assert all(map(shelf.put, guests))
    one_more = FakeGuest()
    assert not shelf.put(one_more)
    assert not one_more.vacated
    until(lambda: all(guest.restored_by for guest in guests))
    assert not shelf.put(one_more)


def test_of_a_large_image_fewer_are_kept(shelf: InstancePool[FakeGuest], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recycling, "_MAX_WRITTEN", 5 << 20)
    assert sum(shelf.put(FakeGuest()) for _ in range(MAX_IDLE)) == 4


FORK = """
import os, threading
from cloche.runtime.wasm.recycling import background_thread
done = threading.Event()
background_thread.do(done.set)
assert done.wait(60)
child = os.fork()
if not child:
    again = threading.Event()
    background_thread.do(again.set)
    os._exit(0 if again.wait(60) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_a_thread_of_its_own() -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "0"


def test_an_error_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    background, done, shown = BackgroundThread(), threading.Event(), list[Any]()
    monkeypatch.setattr(threading, "excepthook", shown.append)
    background.do(lambda: 1 / 0)
    background.do(done.set)
    assert done.wait(60)
    assert [args.exc_type for args in shown] == [ZeroDivisionError]


class Counters:
    """Page faults and questions to the kernel, as a test sets and counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.faults: tuple[int, int, int] | None = (1, 1, 1)
        self.questions = 0
        monkeypatch.setattr(recycling, "count_faults", lambda: self.faults)
        monkeypatch.setattr(recycling, "written_spans", self._ask)
        monkeypatch.setattr(recycling, "background_thread", BackgroundThread())

    def _ask(self, view: memoryview) -> list[tuple[int, int]]:
        self.questions += 1
        return [(0, len(view))]


@pytest.fixture
def counters(monkeypatch: pytest.MonkeyPatch) -> Counters:
    return Counters(monkeypatch)


def use(pool: InstancePool[FakeGuest], between: Callable[[FakeGuest], object] = bool) -> None:
    guest = pool.take()
    assert guest is not None
    assert guest.is_fresh
    guest.memory.content[:4] = b"used"
    guest.pointer = 99
    between(guest)
    assert pool.put(guest)


@pytest.fixture
def pool(counters: Counters) -> InstancePool[FakeGuest]:
    pool = InstancePool(FakeGuest(b"good"), leisure=3_600)
    pool.put(FakeGuest())
    return pool


def test_without_a_fault_the_kernel_is_asked_once(pool: InstancePool[FakeGuest], counters: Counters) -> None:
    for _ in range(5):
        use(pool)
    assert counters.questions == 1


def test_a_fault_asks_again(pool: InstancePool[FakeGuest], counters: Counters) -> None:
    use(pool, lambda _: setattr(counters, "faults", (1, 1, 2)))
    use(pool)
    assert counters.questions == 2


@pytest.mark.parametrize("elsewhere", [(2, 1, 1), (1, 2, 1)])
def test_another_process_or_thread_asks_again(
    pool: InstancePool[FakeGuest], counters: Counters, elsewhere: tuple[int, int, int]
) -> None:
    use(pool, lambda _: setattr(counters, "faults", elsewhere))
    use(pool)
    assert counters.questions == 2


def test_a_second_writer_asks_again(pool: InstancePool[FakeGuest], counters: Counters) -> None:
    use(pool, lambda guest: guest.pages.spoil())
    use(pool)
    assert counters.questions == 2


def test_where_faults_are_not_counted_each_use_asks(pool: InstancePool[FakeGuest], counters: Counters) -> None:
    counters.faults = None
    for _ in range(3):
        use(pool)
    assert counters.questions == 3


def test_a_first_write_to_a_page_is_a_fault() -> None:
    if recycling.count_faults() is None:
        pytest.skip("this system does not count faults by thread")
    with mmap.mmap(-1, 64 * mmap.PAGESIZE) as pages:
        before = recycling.count_faults()
        for start in range(0, len(pages), mmap.PAGESIZE):
            pages[start] = 1
        assert recycling.count_faults() != before


def test_a_thread_is_no_other_one_that_has_ended() -> None:
    if recycling.count_faults() is None:
        pytest.skip("this system does not count faults by thread")
    seen: list[recycling.Faults | None] = []
    for _ in range(4):
        thread = threading.Thread(target=lambda: seen.append(recycling.count_faults()))
        thread.start()
        thread.join()
    # Python's own number for them is the same, as a rule.
    assert len({each[1] for each in seen if each is not None}) == 4


def test_a_guest_that_is_renewed_has_to_be_watched_again(pool: InstancePool[FakeGuest], counters: Counters) -> None:
    use(pool)
    guest = pool.take()
    assert guest is not None
    for watched in (True, True, False):
        asked = counters.questions
        if watched:
            guest.pages.watch()
        assert pool.renew(guest)
        assert counters.questions - asked == (not watched)


def test_a_stock_is_made_at_once_and_filled_up_in_the_background() -> None:
    made: list[FakeGuest] = []

    def make() -> FakeGuest:
        made.append(FakeGuest(b"good"))
        return made[-1]

    pool = InstancePool(FakeGuest(b"good"))
    pool.stock(MAX_IDLE + 2, make)
    assert len(made) == MAX_IDLE + 2
    taken = [pool.take() for _ in range(MAX_IDLE + 2)]
    assert all(guest is not None for guest in taken)
    until(lambda: len(made) >= 2 * (MAX_IDLE + 2))
    # One that is put back where there are enough is not kept, and none is made in its place.
    assert not pool.put(FakeGuest())
    assert len(made) == 2 * (MAX_IDLE + 2)
    pool.stock(1, make)
    assert len(made) == 2 * (MAX_IDLE + 2)


def test_a_stock_has_the_pages_in_place_that_a_run_writes(counters: Counters, monkeypatch: pytest.MonkeyPatch) -> None:
    restored: list[list[tuple[int, int]]] = []

    def copier(memory: memoryview, source: memoryview, spans: list[tuple[int, int]], max_bytes: int) -> object:
        return lambda: restored.append(spans)

    monkeypatch.setattr(recycling, "copier", copier)
    pool, guest = InstancePool(FakeGuest(b"good")), FakeGuest()
    guest.pages.spans = [(_PAGE, 2 * _PAGE)]
    guest.pages.watch()
    assert pool.renew(guest)
    pool.stock(1, lambda: FakeGuest(b"good"))
    assert restored == [[(_PAGE, 2 * _PAGE)]] * 2
