"""A host for guests under construction: trusted code, wasmtime's public API, nothing of the runtime's."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wasmtime as wt

from cloche.runtime.wasm.charging import charged
from cloche.runtime.wasm.meter import METER
from recipe.workspace import BuildError

NOTHING = b"\x92\x00\xc0"
"""The reply to every call: a value of None."""
NOT_YET = -2
"""In place of its length: there is none yet."""


class StageHost:
    """One instance of a stage module, with the bridge's five imports served plainly.

    Clock and entropy are fixed, so that what the guest computes is a function of its inputs.
    With `later` every call is answered only when the guest asks the second time; `collected` is how it says that went.
    `frames` collects what the guest sends through `call`; its output is in `output`. A `metered` one counts fuel, by
    the same charges as in the runtime.
    """

    def __init__(self, module: Path, cache: Path | None = None, *, metered: bool = False) -> None:
        self.engine = wt.Engine(_config(metered))
        self.store = wt.Store(self.engine)
        self.frames: list[bytes] = []
        self.later = False
        self.collected: list[int] = []
        self.output = bytearray()
        linker = wt.Linker(self.engine)
        for name, kind, function in self._imports():
            linker.define_func("cloche", name, kind, function)
        self.instance = linker.instantiate(self.store, _module(self.engine, module, cache, metered))
        memory = self.instance.exports(self.store)["memory"]
        assert isinstance(memory, wt.Memory)
        self.memory = memory
        self.call("_initialize")

    def _imports(self) -> list[tuple[str, wt.FuncType, Callable[..., Any]]]:
        i32, i64 = wt.ValType.i32(), wt.ValType.i64()
        return [
            ("call", wt.FuncType([i32] * 4, [i32]), self._call),
            ("take", wt.FuncType([i32], []), self._take),
            ("write", wt.FuncType([i32] * 3, []), self._write),
            ("clock", wt.FuncType([i32], [i64]), self._clock),
            ("entropy", wt.FuncType([i32] * 2, []), self._entropy),
        ]

    def _call(self, at: int, n: int, reply: int, room: int) -> int:
        if not n:
            self.collected.append(at)
        else:
            self.frames.append(self.read(at, n))
            if self.later:
                return NOT_YET
        self.write(reply, NOTHING)
        return len(NOTHING)

    def _take(self, dst: int) -> None:
        """Nothing is ever kept for the guest to take: the one reply is three bytes."""

    def _clock(self, clock: int) -> int:
        return 1_000_000_000_000_000_000

    def _write(self, stream: int, at: int, n: int) -> None:
        self.output += self.read(at, n)

    def _entropy(self, at: int, n: int) -> None:
        self.write(at, bytes(n))

    def read(self, at: int, n: int) -> bytes:
        """Copy n bytes of the guest's memory."""
        at &= 0xFFFFFFFF
        return bytes(self.memory.read(self.store, at, at + n))

    def write(self, at: int, data: bytes) -> None:
        """Copy bytes into the guest's memory."""
        self.memory.write(self.store, data, at & 0xFFFFFFFF)

    def call(self, name: str, *arguments: int) -> int:
        """Call an export. Raises `BuildError` with the guest's output if it traps."""
        function = self.instance.exports(self.store)[name]
        assert isinstance(function, wt.Func)
        try:
            result = function(self.store, *arguments)
        except (wt.Trap, wt.WasmtimeError) as error:
            raise BuildError(f"{name} trapped: {error}\n{self.output.decode(errors='replace')}") from error
        return result if isinstance(result, int) else 0

    @property
    def fuel(self) -> int:
        """What is left in the meter of a metered host, to be read and set."""
        return self._meter()[0]

    @fuel.setter
    def fuel(self, amount: int) -> None:
        self._meter()[:] = [amount, 0, 0]

    def _meter(self) -> ctypes.Array[ctypes.c_int64]:
        memory = self.instance.exports(self.store)[METER]
        assert isinstance(memory, wt.Memory)
        return (ctypes.c_int64 * 3).from_address(ctypes.addressof(memory.data_ptr(self.store).contents))

    def global_value(self, name: str) -> int:
        """The value of an exported global."""
        exported = self.instance.exports(self.store)[name]
        assert isinstance(exported, wt.Global)
        return int(exported.value(self.store))

    def place(self, allocate: str, data: bytes) -> int:
        """Allocate room in the guest through an export and copy `data` there."""
        at = self.call(allocate, max(len(data), 1))
        self.write(at, data)
        return at

    def checked(self, name: str, *arguments: int) -> None:
        """Call an export that returns 0 when all went well; else raise `BuildError` with the guest's output."""
        if self.call(name, *arguments):
            raise BuildError(f"{name} failed:\n{self.output.decode(errors='replace')}")


def _config(metered: bool) -> wt.Config:
    config = wt.Config()
    # The meter is a memory of its own.
    config.wasm_multi_memory = metered
    config.parallel_compilation = True
    config.max_wasm_stack = 2 << 20
    return config


def _module(engine: wt.Engine, path: Path, cache: Path | None, metered: bool) -> wt.Module:
    if cache and cache.exists():
        return wt.Module.deserialize_file(engine, str(cache))
    code = path.read_bytes()
    module = wt.Module(engine, charged(code) if metered else code)
    if cache:
        cache.write_bytes(module.serialize())
    return module
