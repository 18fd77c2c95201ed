"""C's string functions, compiled as they are for the guest and compared with Python's own, at every alignment."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
import wasmtime as wt

SOURCE = Path(__file__).parents[3] / "guest" / "libc" / "strings.c"
FLAGS = ("-target", "wasm32-wasi", "-O3", "-msimd128", "-fno-builtin", "-Wall", "-Wextra", "-Werror", "-std=c11")
SEARCHES = ("strlen", "strnlen", "strchr", "strchrnul", "strrchr", "memchr", "memrchr", "strstr", "strspn", "strcspn")
OTHERS = ("strpbrk", "memcmp", "strcmp", "strncmp", "strcpy", "stpcpy", "strncpy", "stpncpy", "strcat", "strncat")
NAMES = SEARCHES + OTHERS
LENGTHS = (0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 64, 100)
ALPHABETS = (b"ab", b"abcdefgh", bytes(range(1, 256)))
PAGE = 65536
NOTHING = -1


class Library:
    """The functions over a memory of which the test decides every byte."""

    def __init__(self, module: Path) -> None:
        config = wt.Config()
        config.consume_fuel = True
        engine = wt.Engine(config)
        self.store = wt.Store(engine)
        self.store.set_fuel(1 << 40)
        self.exports = wt.Instance(self.store, wt.Module.from_file(engine, str(module)), []).exports(self.store)
        memory = self.exports["memory"]
        assert isinstance(memory, wt.Memory)
        self.memory = memory
        self.end = memory.data_len(self.store)

    def write(self, at: int, data: bytes) -> int:
        self.memory.write(self.store, data, at)
        return at

    def read(self, at: int, n: int) -> bytes:
        return bytes(self.memory.read(self.store, at, at + n))

    def call(self, name: str, *arguments: int) -> int:
        function = self.exports[name]
        assert isinstance(function, wt.Func)
        result: int = function(self.store, *arguments)
        return result

    def place(self, name: str, text: int, *arguments: int) -> int:
        """Call a function that returns an address. Returns the distance from the text."""
        at = self.call(name, text, *arguments)
        return at - text if at else NOTHING


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    pytest.importorskip("ziglang")
    target = tmp_path_factory.mktemp("strings") / "strings.wasm"
    exports = ["-nostdlib", "-Wl,--no-entry", *(f"-Wl,--export={name}" for name in NAMES)]
    subprocess.run([sys.executable, "-m", "ziglang", "cc", *FLAGS, *exports, SOURCE, "-o", target], check=True)
    return Library(target)


class Trial:
    """A text, another that may differ in one byte, and some of their bytes, at places drawn by chance."""

    def __init__(self, library: Library, seed: int) -> None:
        chance = random.Random(seed)
        alphabet = chance.choice(ALPHABETS)
        self.text = bytes(chance.choice(alphabet) for _ in range(chance.choice(LENGTHS)))
        other = bytearray(self.text)
        if other and chance.random() < 0.7:
            other[chance.randrange(len(other))] = chance.choice(alphabet)
        self.other, self.few = bytes(other), bytes(other[: chance.randrange(4)])
        self.byte = chance.choice(alphabet + b"\0")
        self.n = chance.randrange(len(self.text) + 1)
        base = library.end - 8 * 1024
        library.write(base, chance.randbytes(8 * 1024))
        self.at = library.write(base + chance.randrange(64), self.text + b"\0")
        self.other_at = library.write(base + 1024 + chance.randrange(64), self.other + b"\0")
        self.few_at = library.write(base + 2048 + chance.randrange(64), self.few + b"\0")
        self.free_at = base + 3072 + chance.randrange(64)


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def _order(one: bytes, other: bytes) -> int:
    return (one > other) - (one < other)


@pytest.mark.parametrize("seed", range(0, 3000, 500))
def test_searching(library: Library, seed: int) -> None:
    for trial in (Trial(library, seed + i) for i in range(500)):
        text, at, byte, n = trial.text, trial.at, trial.byte, trial.n
        ended = text + b"\0"
        assert library.call("strlen", at) == len(text)
        assert library.place("strchr", at, byte) == ended.find(byte)
        assert library.place("strchrnul", at, byte) == (ended.find(byte) if byte in text else len(text))
        assert library.place("strrchr", at, byte) == ended.rfind(byte)
        assert library.place("memchr", at, byte, n) == text[:n].find(byte)
        assert library.place("memrchr", at, byte, n) == text[:n].rfind(byte)
        assert library.place("strstr", at, trial.few_at) == text.find(trial.few)
        assert [library.call("strnlen", at, size) for size in (n, len(text) + 5, -1)] == [n, len(text), len(text)]


@pytest.mark.parametrize("seed", range(0, 3000, 500))
def test_comparing_and_spanning(library: Library, seed: int) -> None:
    for trial in (Trial(library, seed + i) for i in range(500)):
        text, at, other, few, n = trial.text, trial.at, trial.other, trial.few, trial.n
        assert _sign(library.call("memcmp", at, trial.other_at, len(text))) == _order(text, other)
        assert _sign(library.call("strcmp", at, trial.other_at)) == _order(text, other)
        assert _sign(library.call("strncmp", at, trial.other_at, n)) == _order(text[:n], other[:n])
        assert _sign(library.call("strncmp", at, trial.other_at, n + 200)) == _order(text, other)
        assert library.call("strspn", at, trial.few_at) == len(text) - len(text.lstrip(few or b"\0"))
        outside = min((text.find(byte) % (len(text) + 1) for byte in few), default=len(text))
        assert library.call("strcspn", at, trial.few_at) == outside
        assert library.place("strpbrk", at, trial.few_at) == (outside if outside < len(text) else NOTHING)


@pytest.mark.parametrize("seed", range(0, 1000, 250))
def test_copying_writes_the_text_and_nothing_else(library: Library, seed: int) -> None:
    for trial in (Trial(library, seed + i) for i in range(250)):
        text, n, to = trial.text, trial.n, trial.free_at
        wanted: dict[str, tuple[bytes, int, list[int]]] = {
            "strcpy": (text + b"\0", 0, []),
            "stpcpy": (text + b"\0", len(text), []),
            "strncpy": (text[:n].ljust(n + 3, b"\0") if n == len(text) else text[:n], 0, [n + 3 * (n == len(text))]),
            "stpncpy": (text.ljust(120, b"\0"), len(text), [120]),
            "strcat": (b"xy" + text + b"\0", 0, []),
            "strncat": (b"xy" + text[:n] + b"\0", 0, [n]),
        }
        for name, (written, end, size) in wanted.items():
            library.write(to, b"xy\0" + b"Z" * 200)
            assert library.place(name, to, trial.at, *size) == end
            before = (b"xy\0" + b"Z" * 200)[len(written) :]
            assert library.read(to, 203) == written + before, name


def test_a_text_may_end_with_memory(library: Library) -> None:
    for n in range(40):
        text = b"a" * n
        at = library.write(library.end - n - 1, text + b"\0")
        assert library.call("strlen", at) == n
        assert library.place("strchr", at, ord("b")) == NOTHING
        assert library.place("memchr", at, ord("b"), n + 1) == NOTHING


@pytest.mark.parametrize(("name", "arguments"), {"strchr": (10,), "strchrnul": (10,), "memchr": (10, PAGE)}.items())
def test_a_search_costs_the_way_to_what_it_finds(library: Library, name: str, arguments: tuple[int, ...]) -> None:
    at = library.write(library.end - PAGE // 2, b"a line\n".ljust(PAGE // 4, b"x") + b"\0")
    before = library.store.get_fuel()
    assert library.place(name, at, *arguments) == 6
    assert before - library.store.get_fuel() < 200
