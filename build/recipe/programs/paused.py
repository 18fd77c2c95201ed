"""Runs inside the guest while it is measured what a pause costs: all checks of the eval loop, in all circumstances.

Each several times, so that the interpreter has specialised it, with the outermost eval loop and with one below C. As
every other check after a call is let through, the loops have one call more in some rounds.
"""

import asyncio
import gc
import sys
from collections.abc import Callable, Generator, Iterator
from types import FrameType
from typing import Any


def called(x: int = 0) -> int:
    """Return its argument: a frame of its own in the same eval loop."""
    return x


class Plain:
    """A class with an `__init__` of Python, and a method of each kind."""

    def __init__(self, x: int) -> None:
        self.x = x

    def __lt__(self, other: "Plain") -> bool:
        return self.x < other.x

    def __repr__(self) -> str:
        return f"{self.x:d}"


def calls(rounds: int) -> None:
    """Make each kind of call that the eval loop has an instruction for."""
    text, numbers, table = "a b", [3, 1, 2], {1: 2}
    for i in range(rounds):
        called(i)
        if i % 2:
            abs(i)
        str(i)
        if i % 3 == 1:
            abs(i)
        tuple(numbers)
        type(i)
        list(numbers)
        len(numbers)
        abs(i)
        isinstance(i, int)
        sum(numbers, i)
        min(numbers, key=None)
        sorted(numbers, reverse=True)
        numbers.append(i)
        numbers.pop()
        text.split()
        text.upper()
        text.replace("a", "b")
        text.split(" ", maxsplit=1)
        table.get(1)
        table.update({})
        called(x=i)
        numbers.sort(reverse=True)
        called(*[i])
        max(*numbers)
        called(*[i], **{})
        Plain(i)
        table.keys()
        print(end="")


def produced(n: int) -> Iterator[int]:
    """A generator that calls."""
    for i in range(n):
        called(i)
        yield i


def drawn(n: int) -> Iterator[int]:
    """An iterator of C that calls."""
    numbers = iter(range(n))
    return iter(lambda: called(next(numbers, -1)), -1)


def delegated(n: int) -> Generator[int, None, None]:
    """A generator that delegates."""
    yield from produced(n)


def long_jump(n: int) -> int:
    """A loop whose jump back is too long for one byte."""
    total = 0
    for i in drawn(n):
        if i % 3 == 1:
            total += abs(i)
        total += i * 2 - i // 3 + (i + 2) % 4
        total += i * 3 - i // 4 + (i + 3) % 5
        total += i * 4 - i // 5 + (i + 4) % 6
        total += i * 5 - i // 6 + (i + 5) % 7
        total += i * 6 - i // 7 + (i + 6) % 8
        total += i * 7 - i // 8 + (i + 7) % 9
        total += i * 8 - i // 9 + (i + 8) % 10
        total += i * 9 - i // 10 + (i + 9) % 11
        total += i * 10 - i // 11 + (i + 10) % 12
        total += i * 11 - i // 12 + (i + 11) % 13
        total += i * 12 - i // 13 + (i + 12) % 14
        total += i * 13 - i // 14 + (i + 13) % 15
        total += i * 14 - i // 15 + (i + 14) % 16
        total += i * 15 - i // 16 + (i + 15) % 17
        total += i * 16 - i // 17 + (i + 16) % 18
        total += i * 17 - i // 18 + (i + 17) % 19
        total += i * 18 - i // 19 + (i + 18) % 20
        total += i * 19 - i // 20 + (i + 19) % 21
        total += i * 20 - i // 21 + (i + 20) % 22
        total += i * 21 - i // 22 + (i + 21) % 23
        total += i * 22 - i // 23 + (i + 22) % 24
        total += i * 23 - i // 24 + (i + 23) % 25
        total += i * 24 - i // 25 + (i + 24) % 26
        total += i * 25 - i // 26 + (i + 25) % 27
    return total


def counted(n: int) -> int:
    """A loop that jumps back, with a call in every third round."""
    total = 0
    while total < n:
        total += 1
        if total % 3 == 0:
            abs(total)
    return total


def fed(n: int) -> int:
    """A loop with another eval loop below its iterator: there, a request is made again when that one ends."""
    total = 0
    for i in drawn(n):
        total += i
    return total


def below(rounds: int) -> None:
    """Have the same done below C."""
    for _ in range(rounds):
        dict.fromkeys(map(calls, [5]))
        dict.fromkeys(map(counted, [5]))
        dict.fromkeys(map(fed, [4]))
        dict.fromkeys(produced(5))
        dict.fromkeys(delegated(4))
        sorted([Plain(2), Plain(1)])
        str([Plain(1)])
        dict.fromkeys(map(long_jump, [7]))


async def slept(n: int) -> int:
    """A coroutine that is resumed."""
    for _ in range(n):
        await asyncio.sleep(0)
    return n


async def tasks() -> None:
    """Tasks, whose first part is C, and whose steps are not."""
    await asyncio.gather(slept(2), slept(3))


def failing(n: int) -> None:
    """End an eval loop by an exception."""
    for _ in range(n):
        try:
            dict.fromkeys(map(_fail, [1]))
        except ValueError:
            called()


def _fail(x: int) -> int:
    called(x)
    raise ValueError


def collecting(work: Callable[[int], object]) -> None:
    """Have the collector due at many checks."""
    gc.set_threshold(3)
    kept: list[Any] = []
    for _ in range(3):
        kept.append([kept])
        work(1)
        dict.fromkeys(map(work, [1]))
    gc.set_threshold(2000)


def traced(frame: FrameType, event: str, argument: object) -> Any:
    """Trace: it runs below C."""
    called(len(event))
    return traced


def main() -> None:
    """Do all of it."""
    calls(9)
    counted(10)
    fed(5)
    long_jump(10)
    for _ in produced(5):
        pass
    for _ in delegated(5):
        pass
    below(2)
    failing(2)
    asyncio.run(tasks())
    collecting(calls)
    collecting(long_jump)
    sys.settrace(traced)
    long_jump(5)
    counted(5)
    calls(2)
    for _ in produced(2):
        pass
    sys.settrace(None)


main()
