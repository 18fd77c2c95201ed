"""One instance of a module, reached through Wasmtime's unchecked calls: the only place that passes raw pointers.

What makes it safe: the functions' types are checked once, when the image is loaded; every pointer from the guest
goes through :class:`Memory`; and what the engine calls when a guest calls an import, in
:mod:`cloche.runtime.wasm.imports`, lets nothing out but a number.
"""

import ctypes
import sys
import threading
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

from cloche.runtime.dataclass import dataclass
from cloche.runtime.errors import ImageError
from cloche.runtime.wasm import native
from cloche.runtime.wasm.deadlines import Control, arm, here, must_end
from cloche.runtime.wasm.engine import Engine
from cloche.runtime.wasm.imports import CALLBACKS, EXPORTS, IMPORTS, GuestImports, ServedGuest
from cloche.runtime.wasm.memory import Memory
from cloche.runtime.wasm.meter import FUEL_FULL, METER, DoorMeter, Meter
from cloche.runtime.wasm.pausing import PauseFacts
from cloche.runtime.wasm.recycling import InstancePool, OwnPages
from cloche.runtime.wasm.traps import StopKind, Stopped, kind_of, trap_text

__all__ = ["Instance", "InstanceTemplate", "StoreLimits"]


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """What one store may hold: bytes of memory, elements over all tables, and tables. One instance.

    Wasmtime takes a negative number for "no limit", so the machine checks each of them first.
    """

    memory: int
    table_elements: int
    tables: int


# The first two are found by their place in here, functions by their name.
_EXPORTS = (b"memory", b"__stack_pointer", *map(str.encode, EXPORTS))
_METER = METER.encode()
# The scratch words of a guest: one raw value of 16 bytes, the trap, a 64-bit number, the instance, the exports.
_TRAP, _NUMBER, _INSTANCE = 2, 3, 4
_EXPORTS_AT = _INSTANCE + native.INSTANCE_SIZE // 8
_EXPORT_WORDS = native.EXTERN_SIZE // 8
# And one place more, for the meter.
_WORDS = ctypes.c_uint64 * (_EXPORTS_AT + (len(_EXPORTS) + 1) * _EXPORT_WORDS)
_LOW_32 = 0xFFFF_FFFF
# For a guest that is never run.
_UNUSED = StoreLimits(1 << 32, (1 << 32) - 1, 4)


class InstanceTemplate:
    """A module with its imports resolved, from which instances are made cheaply. May be shared by all threads.

    ``pause_facts`` is what it takes to pause one, if known. ``in_c`` is false to have all done in Python, even where
    the extension is. Raises ImageError for a module with other imports.
    """

    def __init__(
        self, engine: Engine, module: native.Module, pause_facts: PauseFacts | None = None, *, in_c: bool = True
    ) -> None:
        self.engine = engine
        self.module = module
        self.pause_facts = pause_facts
        # With another metering the engine itself calls back, which the doors in C do not serve.
        self.has_doors = in_c and native.host is not None and engine.mode.charges
        callbacks = native.DOOR_CALLBACKS if self.has_doors else CALLBACKS
        imports = {name: (signature, callbacks[name]) for name, signature in IMPORTS.items()}
        try:
            self._prepared = native.prepare(engine.handle, module, imports, "cloche")
        except native.EngineError as error:
            raise ImageError(f"the guest image cannot be started: {error}") from None
        self.address = self._prepared.address
        self._lock = threading.Lock()
        self._pool: InstancePool[Instance] | None = None

    def instance(self, control: Control, host: GuestImports, limits: StoreLimits) -> "Instance":
        """Return a fresh instance, or one restored to that. Raises ImageError if the limits do not hold the module."""
        idle = None if self._pool is None else self._pool.take()
        if idle is None:
            return Instance(self, control, host, limits)
        idle.serve(control, host, limits)
        return idle

    def release(self, instance: "Instance", *, sound: bool) -> None:
        """Take an instance back: a sound one, which ended all it was asked for, may serve again."""
        if not (sound and self._find_pool().put(instance)):
            instance.close()

    def keep_ready(self, count: int) -> None:
        """Have at least so many instances ready before they are asked for. Raises ImageError."""
        self._find_pool().stock(count, lambda: Instance(self, Control(), None, _UNUSED))

    def renew(self, instance: "Instance") -> bool:
        """Make of a sound instance what the image made, where it is. False, with it in any state, if that cannot be."""
        return self._find_pool().renew(instance)

    @cached_property
    def min_memory(self) -> int:
        """The bytes of memory of a fresh instance. Raises ImageError if there cannot be one."""
        return self.pristine.memory.size()

    @cached_property
    def small_inbox(self) -> int:
        """The address at which every instance takes its small requests; 0 if a call of ``cloche_inbox`` traps."""
        instance = Instance(self, Control(), None, _UNUSED)
        try:
            return instance.inbox(0)
        except Stopped:
            return 0
        finally:
            instance.close()

    @cached_property
    def pristine(self) -> "Instance":
        """An instance that is never run, to compare with and to copy from. It takes no memory of its own."""
        return Instance(self, Control(), None, _UNUSED)

    @cached_property
    def pristine_memory(self) -> memoryview:
        """The read-only memory of an instance as the image left it. It costs address space, not memory."""
        return self.pristine.memory.view().toreadonly()

    def _find_pool(self) -> "InstancePool[Instance]":
        if self._pool is None:
            with self._lock:
                if self._pool is None:
                    self._pool = InstancePool(self.pristine)
        return self._pool


class Instance(ServedGuest):
    """One instance in one store. Used by one thread at a time; :meth:`close` frees it.

    ``door`` is the way in and out in C, or None where Python has it: see :data:`cloche.runtime.wasm.native.host`.
    """

    __slots__ = (
        "_at",
        "_context",
        "_engine",
        "_inbox",
        "_step",
        "_store",
        "_words",
        "door",
        "memory",
        "meter",
        "pages",
    )

    def __init__(
        self, template: InstanceTemplate, control: Control, host: GuestImports | None, limits: StoreLimits
    ) -> None:
        super().__init__(control, host)
        self._store = 0
        self.meter: Meter | None = None
        self.door: Any = None
        self._engine = template.engine
        self._words = _WORDS()
        self._at = ctypes.addressof(self._words)
        self._store = native.store_new(template.engine.address, None, None)
        self._context: int = native.store_context(self._store)
        self._prepare(limits)
        self._instantiate(template)
        self.memory = self._find_memory()
        if template.engine.mode.charges:
            self.meter = self._find_meter(template.has_doors)
            control.meter = self.meter
            self._serve_door()
        self.pages = OwnPages()
        if host is not None:
            host.memory = self.memory

    def inbox(self, size: int) -> int:
        """Call ``cloche_inbox``. Raises Stopped."""
        return self._enter(self._inbox, size) & _LOW_32

    def step(self, size: int) -> int:
        """Call ``cloche_step`` and return its 64 bits. Raises Stopped."""
        if self.door is not None:
            return self._pass(True, size)
        # What ``_enter`` does, without the call: this is part of every run.
        words = self._words
        words[0] = size
        before, here.guest = here.guest, self
        try:
            error = native.call(self._context, self._step, self._at, 1, self._at + 8 * _TRAP)
        finally:
            here.guest = before
        if error or words[_TRAP]:
            raise self._ended(error)
        return words[0]

    def set_fuel(self, amount: int) -> None:
        """Set the fuel left. Only with metering by fuel."""
        if self.meter is not None:
            self.meter.numbers[0] = amount
            return
        error = native.fuel_set(self._context, amount)
        if error:
            _require(error)

    def fuel_left(self) -> int:
        """Return the fuel left. Only with metering by fuel."""
        if self.meter is not None:
            # The last charge may have taken more than there was.
            return max(0, self.meter.numbers[0])
        error = native.fuel_get(self._context, self._at + 8 * _NUMBER)
        if error:
            _require(error)
        return self._words[_NUMBER]

    def stack_pointer(self) -> int:
        """Return the guest's own stack pointer, an address in its memory."""
        value = native.value_new()
        native.global_get(self._context, self._export(1), ctypes.addressof(value))
        pointer: int = value.of.i32
        return pointer & _LOW_32

    def set_stack_pointer(self, address: int) -> None:
        """Set the guest's own stack pointer. Only between steps, when restoring its memory."""
        value = native.value_new()
        value.kind, value.of.i32 = 0, address
        _require(native.global_set(self._context, self._export(1), ctypes.addressof(value)))

    def serve(self, control: Control, host: GuestImports, limits: StoreLimits) -> None:
        """Serve another machine, with its limits."""
        self.control, self.host = control, host
        control.meter = self.meter
        self._serve_door()
        self._limit(limits)
        host.memory = self.memory

    def vacate(self) -> None:
        """Drop the machine that was served, and every view of the memory."""
        self.control, self.host = Control(), None
        self._serve_door()
        self.memory.close()
        self.memory = self._find_memory()

    def close(self) -> None:
        """Free the guest and its memory. Safe to call twice."""
        store, self._store = self._store, 0
        if not store:
            return
        # It has no memory if it could not be instantiated.
        if hasattr(self, "memory"):
            self.memory.close()
        if self.door is not None:
            self.door.close()
        native.store_delete(store)

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        # At the interpreter's end the modules are gone already, and all memory goes anyway.
        if not ending():
            self.close()

    def outcome(self, passed: int | tuple[int, int]) -> int:
        """Return the 64 bits with which the door in C was left. Raises Stopped for an error and a trap instead."""
        if isinstance(passed, int):
            return passed
        error, self._words[_TRAP] = passed
        raise self._ended(error)

    def _pass(self, step: bool, argument: int) -> int:
        return self.outcome(self.door.enter(step, argument))

    def _serve_door(self) -> None:
        if self.door is not None:
            host = self.host
            direct = (None, None) if host is None else host.direct()
            self.door.host(host, *direct, partial(must_end, self.control), 0 if host is None else host.max_frame)

    def _enter(self, function: int, argument: int) -> int:
        if self.door is not None:
            return self._pass(function == self._step, argument)
        words = self._words
        words[0] = argument
        before, here.guest = here.guest, self
        try:
            error = native.call(self._context, function, self._at, 1, self._at + 8 * _TRAP)
        finally:
            here.guest = before
        if error or words[_TRAP]:
            raise self._ended(error)
        return words[0]

    def _ended(self, error: int | None) -> Stopped:
        stopped = self._drain(error)
        raised = None if self.door is None else self.door.taken()
        if raised is not None:
            self.control.halt(raised)
        if self.meter is not None and self.control.stopped is None:
            if self.meter.is_spent:
                return Stopped(StopKind.FUEL)
            if self.meter.was_ended and stopped.kind is StopKind.UNREACHABLE:
                return self.control.due() or Stopped(StopKind.TIME)
        return self.control.stopped or stopped

    def _drain(self, error: int | None) -> Stopped:
        trap = self._words[_TRAP]
        self._words[_TRAP] = 0
        if error:
            return Stopped(kind_of(None), native.take_error(error))
        code, message = native.take_trap(trap)
        return Stopped(kind_of(code), trap_text(message), code)

    def _limit(self, limits: StoreLimits) -> None:
        mode = self._engine.mode
        native.set_limits(self._store, limits.memory, limits.table_elements, 1, limits.tables, 1 + mode.charges)
        # A meter that is not there yet begins full.
        if self.meter is not None or (mode.counts_fuel and not mode.charges):
            self.set_fuel(FUEL_FULL)

    def _prepare(self, limits: StoreLimits) -> None:
        self._limit(limits)
        if self._engine.mode.interrupts and not self._engine.mode.charges:
            arm(self._store, self._context)

    def _instantiate(self, template: InstanceTemplate) -> None:
        before, here.guest = here.guest, self
        try:
            error = native.instantiate(template.address, self._context, self._at + 8 * _INSTANCE, self._at + 8 * _TRAP)
        finally:
            here.guest = before
        if error or self._words[_TRAP]:
            raise ImageError(f"the guest image cannot be started: {self._ended(error)}")
        for index, name in enumerate(_EXPORTS):
            place = self._at + 8 * (_EXPORTS_AT + index * _EXPORT_WORDS)
            if not native.find_export(self._context, self._at + 8 * _INSTANCE, name, len(name), place):
                raise ImageError(f"the guest image does not export {name.decode()}")
        self._inbox, self._step = self._function(b"cloche_inbox"), self._function(b"cloche_step")

    def _find_meter(self, has_door: bool) -> Meter:
        place = self._at + 8 * (_EXPORTS_AT + len(_EXPORTS) * _EXPORT_WORDS)
        if not native.find_export(self._context, self._at + 8 * _INSTANCE, _METER, len(_METER), place):
            raise ImageError(f"the guest image does not export {METER}")
        address = native.memory_data(self._context, place + native.EXTERN_VALUE)
        if not has_door:
            return Meter(address)
        self.door = native.host.Door(self._context, self._step, self._inbox, self._export(0), address)
        return DoorMeter(address, self.door)

    def _function(self, name: bytes) -> int:
        return self._export(_EXPORTS.index(name))

    def _export(self, index: int) -> int:
        return self._at + 8 * (_EXPORTS_AT + index * _EXPORT_WORDS) + native.EXTERN_VALUE

    def _find_memory(self) -> Memory:
        # Partials over numbers, not bound methods: the guest must be freed at once when the last reference goes.
        where = (self._context, self._export(0))
        return Memory(partial(native.memory_size, *where), partial(_view, *where), partial(_grow, *where))


def _view(context: int, memory: int, size: int) -> memoryview:
    base = native.memory_data(context, memory)
    return memoryview((ctypes.c_ubyte * size).from_address(base)).cast("B")


def _grow(context: int, memory: int, pages: int) -> bool:
    before = ctypes.c_uint64()
    error = native.memory_grow(context, memory, pages, ctypes.addressof(before))
    if error:
        native.take_error(error)
    return not error


def _require(error: int | None) -> None:
    if error:
        raise ValueError(native.take_error(error))
