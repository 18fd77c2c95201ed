"""What the toy guest understands, and a host for it.

A request is one byte for the deed and 32-bit little-endian arguments. Every deed but ECHO answers with 64 bits.
"""

import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

from cloche.runtime.wasm.engine import Engine
from cloche.runtime.wasm.machine import WasmMachine

__all__ = ["FakeHandlers", "Maker", "Toy", "answer", "deed"]


class Toy(IntEnum):
    ECHO = 0
    CALL = 1
    TAKE = 2
    WRITE = 3
    CLOCK = 4
    ENTROPY = 5
    LOOP = 6
    RECURSE = 7
    UNREACHABLE = 8
    OUT_OF_BOUNDS = 9
    DIVIDE = 10
    CALL_NULL = 11
    CALL_WRONG = 12
    TABLE_OUT_OF_BOUNDS = 13
    GROW = 14
    ANSWER = 15
    CALL_MANY = 16
    CONVERT = 17
    OVERFLOW = 18
    FILL = 19
    CALL_TAKE = 20
    TABLE_GROW = 21
    TIGHT_LOOP = 22


class Maker(Protocol):
    def __call__(self, memory_limit: int = ..., max_frame: int = ..., engine: Engine = ...) -> WasmMachine: ...


def deed(toy: Toy, *arguments: int) -> bytes:
    words = [argument & 0xFFFF_FFFF for argument in arguments]
    return struct.pack(f"<B3x{len(words)}I", toy, *words)


def answer(response: bytes) -> int:
    number: int = struct.unpack("<q", response)[0]
    return number


class FakeHandlers:
    """Records what it is asked; ``on_call`` and the others can be replaced."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.written: list[tuple[int, bytes]] = []
        self.on_call: Callable[[bytes], bytes] = bytes
        self.on_write: Callable[[int, bytes], None] = lambda stream, data: None
        self.on_clock: Callable[[int], int] = lambda which: 1_000 + which
        self.on_entropy: Callable[[int], bytes] = lambda size: bytes(range(1, size + 1))

    def call(self, frame: bytes) -> bytes:
        self.frames.append(frame)
        return self.on_call(frame)

    def write(self, stream: int, data: bytes) -> None:
        self.written.append((stream, data))
        self.on_write(stream, data)

    def clock(self, which: int) -> int:
        return self.on_clock(which)

    def entropy(self, size: int) -> bytes:
        return self.on_entropy(size)
