"""The guest's malloc, compiled for this machine with the undefined-behaviour sanitizer and driven from Python."""

import ctypes
import random
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
GUEST_C = HERE.parents[2] / "guest" / "c"
NAMES = ("malloc", "calloc", "realloc", "free", "aligned_alloc", "posix_memalign", "memalign", "reallocarray")
OTHERS = ("malloc_usable_size", "strdup", "strndup", "wcsdup")
MIB = 1 << 20


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("ziglang")
    target = tmp_path_factory.mktemp("heap") / "heap.so"
    renamed = [f"-D{name}=heap_{name}" for name in NAMES + OTHERS]
    flags = ["-shared", "-fPIC", "-O1", "-fsanitize=undefined", "-D_GNU_SOURCE", "-Wno-macro-redefined", f"-I{GUEST_C}"]
    files = [GUEST_C / "heap.c", HERE / "heap_room.c"]
    subprocess.run([sys.executable, "-m", "ziglang", "cc", *flags, *renamed, *files, "-o", target], check=True)
    return target


class Heap:
    """The functions with their types. Each has its own copy of the library, and so a memory of its own."""

    def __init__(self, library: ctypes.CDLL) -> None:
        size, pointer = ctypes.c_size_t, ctypes.c_void_p
        self.malloc = self._function(library, "heap_malloc", pointer, size)
        self.calloc = self._function(library, "heap_calloc", pointer, size, size)
        self.realloc = self._function(library, "heap_realloc", pointer, pointer, size)
        self.aligned = self._function(library, "heap_aligned_alloc", pointer, size, size)
        self.free = self._function(library, "heap_free", None, pointer)
        self.usable = self._function(library, "heap_malloc_usable_size", size, pointer)
        self.used = self._function(library, "room_used", size)
        self.gap = self._function(library, "room_gap", None)

    @staticmethod
    def _function(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
        function = library[name]
        function.restype, function.argtypes = result, arguments
        return function


@pytest.fixture
def heap(compiled: Path, tmp_path: Path) -> Heap:
    copy = tmp_path / "heap.so"
    copy.write_bytes(compiled.read_bytes())
    return Heap(ctypes.CDLL(str(copy)))


class Blocks:
    """Live blocks, each filled with one byte, which must still be there when it is looked at again."""

    def __init__(self, heap: Heap, seed: int) -> None:
        self.heap, self.chance = heap, random.Random(seed)
        self.live: dict[int, tuple[int, int]] = {}

    def size(self) -> int:
        most = self.chance.choices((64, 5_000, 300_000, 5_000_000), (50, 30, 19, 1))[0]
        return self.chance.randrange(1, most)

    def add(self, at: int | None, size: int, alignment: int = 16) -> None:
        if at:
            assert at % alignment == 0
            assert self.heap.usable(at) >= size
            byte = self.chance.randrange(1, 256)
            ctypes.memset(at, byte, size)
            self.live[at] = (size, byte)

    def take(self) -> tuple[int, int, int]:
        at = self.chance.choice(list(self.live))
        size, byte = self.live.pop(at)
        assert ctypes.string_at(at, size) == bytes([byte]) * size
        return at, size, byte

    def new(self) -> None:
        self.add(self.heap.malloc(size := self.size()), size)

    def zeroed(self) -> None:
        at = self.heap.calloc(1, size := self.size())
        assert not at or ctypes.string_at(at, size) == bytes(size)
        self.add(at, size)

    def placed(self) -> None:
        alignment = 1 << self.chance.randrange(4, 16)
        self.add(self.heap.aligned(alignment, size := self.size()), size, alignment)

    def resized(self) -> None:
        at, size, byte = self.take()
        moved = self.heap.realloc(at, wanted := self.size())
        kept = min(size, wanted) if moved else size
        assert ctypes.string_at(moved or at, kept) == bytes([byte]) * kept
        self.add(moved or at, wanted if moved else size)

    def dropped(self) -> None:
        self.heap.free(self.take()[0])

    def check(self) -> None:
        spans = sorted((at, at + size) for at, (size, _) in self.live.items())
        assert all(one[1] <= other[0] for one, other in pairwise(spans))

    def step(self) -> None:
        ways = [self.new, self.new, self.zeroed, self.placed, *([self.resized, self.dropped] * 2 if self.live else [])]
        (self.dropped if len(self.live) > 300 else self.chance.choice(ways))()


@pytest.mark.parametrize("seed", range(6))
def test_blocks_keep_what_is_in_them(heap: Heap, seed: int) -> None:
    blocks = Blocks(heap, seed)
    for number in range(6_000):
        blocks.step()
        if number % 400 == 0:
            blocks.check()
            heap.gap()
    while blocks.live:
        blocks.dropped()


def test_freed_neighbours_are_joined(heap: Heap) -> None:
    for _ in range(50):
        blocks = [heap.malloc(MIB) for _ in range(60)]
        assert all(blocks)
        random.Random(1).shuffle(blocks)
        for block in blocks:
            heap.free(block)
        whole = heap.malloc(60 * MIB)
        assert whole
        heap.free(whole)
    assert heap.used() <= 61 * MIB


def test_a_large_block_takes_its_size_and_no_more(heap: Heap) -> None:
    assert heap.malloc(100 * MIB)
    assert heap.used() <= 101 * MIB


def test_a_block_at_the_end_grows_where_it_stands(heap: Heap) -> None:
    block = heap.malloc(100)
    assert all(heap.realloc(block, size) == block for size in range(1_000, 50 * MIB, MIB))
    assert heap.used() <= 51 * MIB


@pytest.mark.parametrize("size", [1 << 40, (1 << 63) - 1, (1 << 64) - 1, 127 * MIB + (2 << 20)])
def test_too_much_is_refused_and_harms_nothing(heap: Heap, size: int) -> None:
    block = heap.calloc(1, 1_000)
    assert heap.malloc(size) is None
    assert heap.realloc(block, size) is None
    assert heap.aligned(4096, size) is None
    assert heap.calloc(size, 16) is None
    assert ctypes.string_at(block, 1_000) == bytes(1_000)
    assert heap.malloc(MIB)


def test_nothing_is_a_block_too(heap: Heap) -> None:
    assert heap.malloc(0) != heap.malloc(0)
    heap.free(None)
    assert heap.usable(None) == 0
    assert heap.realloc(None, 10)
