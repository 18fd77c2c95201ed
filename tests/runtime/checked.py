"""A guest reached through wasmtime-py's public API only: slow, and the yardstick for the product's unchecked calls.

An exception must not cross WebAssembly: wasmtime-py keeps it in a module-wide variable, which threads would share.
Here a callback keeps the real exception on the guest's control and raises an empty marker in its place, so the worst
that another thread can pick up is a marker. Still, run these guests on one thread at a time.
"""

import ctypes
from collections.abc import Callable
from functools import partial
from typing import Any

import wasmtime

from cloche.runtime.errors import ImageError
from cloche.runtime.wasm import native
from cloche.runtime.wasm.deadlines import Control, arm, here, must_end
from cloche.runtime.wasm.engine import Engine
from cloche.runtime.wasm.image import GuestImage
from cloche.runtime.wasm.imports import IMPORTS, GuestImports
from cloche.runtime.wasm.instance import Instance, InstanceTemplate, StoreLimits
from cloche.runtime.wasm.memory import Memory
from cloche.runtime.wasm.meter import FUEL_FULL, LOOK, METER, Meter
from cloche.runtime.wasm.recycling import OwnPages
from cloche.runtime.wasm.traps import StopKind, Stopped, kind_of, trap_text

__all__ = ["CheckedImage", "PureImage", "to_wasmtime"]

_LOW_32 = 0xFFFF_FFFF
_LOW_64 = 0xFFFF_FFFF_FFFF_FFFF


class _Borrowed(wasmtime.Engine):
    """One of our engines as wasmtime-py's object, which does not free it."""

    def __init__(self, engine: Engine) -> None:
        untyped: Any = wasmtime
        self._kept = engine
        self._set_ptr(ctypes.cast(engine.address, ctypes.POINTER(untyped._ffi.wasm_engine_t)))

    def _delete(self, ptr: Any) -> None:
        pass


def to_wasmtime(engine: Engine) -> wasmtime.Engine:
    """Return the same engine as wasmtime-py's object."""
    return _Borrowed(engine)


class _Marker(Exception):
    """Says that the control knows why the guest must end."""


class CheckedImage(GuestImage):
    """An image whose guests go through wasmtime's public API."""

    def _load(self, engine: Engine) -> InstanceTemplate:
        loaded = super()._load(engine)
        return _CheckedTemplate(engine, loaded.module)


class PureImage(GuestImage):
    """An image whose guests have no door in C: the way of a platform without the extension."""

    def _load(self, engine: Engine) -> InstanceTemplate:
        loaded = super()._load(engine)
        return InstanceTemplate(engine, loaded.module, loaded.pause_facts, in_c=False)


class _CheckedTemplate(InstanceTemplate):
    """A module from which guests are made."""

    def instance(self, control: Control, host: GuestImports, limits: StoreLimits) -> Instance:
        """Return a fresh guest. Raises ImageError if the module cannot be instantiated within the limits."""
        return _CheckedGuest(self, control, host, limits)

    def release(self, instance: Instance, *, sound: bool) -> None:
        """Free a guest."""
        instance.close()


class _CheckedGuest(Instance):
    """One instance in one store. Used by one thread at a time; :meth:`close` frees it."""

    def __init__(self, template: _CheckedTemplate, control: Control, host: GuestImports, limits: StoreLimits) -> None:
        self.control, self.host = control, host
        self.pages = OwnPages()
        self.meter = self.door = None
        self._wasm_store = wasmtime.Store(to_wasmtime(template.engine))
        self._prepare_store(template.engine, limits)
        linker = wasmtime.Linker(to_wasmtime(template.engine))
        for name, (parameters, results) in IMPORTS.items():
            linker.define_func("cloche", name, _type(parameters, results), _guarded(control, getattr(host, name), name))
        self._exports = self._start(linker, native.to_wasmtime(template.module))
        self.memory = host.memory = _memory(self._wasm_store, self._exported("memory", wasmtime.Memory))
        if template.engine.mode.charges:
            untyped: Any = self._exported(METER, wasmtime.Memory)
            place: Any = untyped.data_ptr(self._wasm_store)
            self.meter = control.meter = Meter(ctypes.addressof(place.contents))

    def inbox(self, size: int) -> int:
        """Call ``cloche_inbox``. Raises Stopped."""
        return self._call("cloche_inbox", size) & _LOW_32

    def step(self, size: int) -> int:
        """Call ``cloche_step`` and return its 64 bits. Raises Stopped."""
        return self._call("cloche_step", size) & _LOW_64

    def set_fuel(self, amount: int) -> None:
        """Set the fuel left. Only with metering by fuel."""
        if self.meter is None:
            self._wasm_store.set_fuel(amount)
        else:
            self.meter.numbers[0] = amount

    def fuel_left(self) -> int:
        """Return the fuel left. Only with metering by fuel."""
        return self._wasm_store.get_fuel() if self.meter is None else max(0, self.meter.numbers[0])

    def stack_pointer(self) -> int:
        """Return the guest's own stack pointer, an address in its memory."""
        value: int = self._exported("__stack_pointer", wasmtime.Global).value(self._wasm_store)
        return value & _LOW_32

    def set_stack_pointer(self, address: int) -> None:
        """Set the guest's own stack pointer."""
        self._exported("__stack_pointer", wasmtime.Global).set_value(self._wasm_store, ctypes.c_int32(address).value)

    def close(self) -> None:
        """Free the guest and its memory. Safe to call twice."""
        # It has no memory if it could not be instantiated.
        if hasattr(self, "memory"):
            self.memory.close()
        self._wasm_store.close()

    def _prepare_store(self, engine: Engine, limits: StoreLimits) -> None:
        charges = engine.mode.charges
        self._wasm_store.set_limits(limits.memory, limits.table_elements, 1, limits.tables, 1 + charges)
        if engine.mode.interrupts and not charges:
            store: Any = self._wasm_store
            arm(_address(store.ptr()), _address(store._context()))
        if engine.mode.counts_fuel and not charges:
            self.set_fuel(FUEL_FULL)

    def _start(self, linker: wasmtime.Linker, module: wasmtime.Module) -> Any:
        before, here.guest = here.guest, self
        try:
            return linker.instantiate(self._wasm_store, module).exports(self._wasm_store)
        except (wasmtime.WasmtimeError, wasmtime.Trap, _Marker) as error:
            raise ImageError(f"the guest image cannot be started: {self.control.stopped or error}") from None
        finally:
            here.guest = before

    def _exported(self, name: str, kind: type[Any]) -> Any:
        found = self._exports.get(name)
        if not isinstance(found, kind):
            raise ImageError(f"the guest image does not export {name}")
        return found

    def _call(self, name: str, argument: int) -> int:
        function = self._exported(name, wasmtime.Func)
        before, here.guest = here.guest, self
        try:
            result: int = function(self._wasm_store, argument)
            return result
        except (wasmtime.WasmtimeError, wasmtime.Trap, _Marker) as error:
            raise self._reason(error) from None
        finally:
            here.guest = before

    def _reason(self, error: Exception) -> Stopped:
        if self.control.stopped is None and self.meter is not None:
            if self.meter.is_spent:
                return Stopped(StopKind.FUEL)
            if self.meter.was_ended:
                return self.control.due() or Stopped(StopKind.TIME)
        return self.control.stopped or _stopped(error)


def _stopped(error: Exception) -> Stopped:
    found = error.trap_code if isinstance(error, wasmtime.Trap) else None
    code = None if found is None else int(found.value)
    return Stopped(kind_of(code), trap_text(str(error)), code)


def _address(pointer: Any) -> int:
    return int(ctypes.cast(pointer, ctypes.c_void_p).value or 0)


def _type(parameters: tuple[str, ...], results: tuple[str, ...]) -> wasmtime.FuncType:
    types = {"i32": wasmtime.ValType.i32, "i64": wasmtime.ValType.i64}
    return wasmtime.FuncType([types[each]() for each in parameters], [types[each]() for each in results])


def _guarded(control: Control, serve: Callable[..., int | None], name: str) -> Callable[..., int | None]:
    def guarded(*arguments: int) -> int | None:
        if name == "clock" and arguments == (LOOK,) and control.meter is not None:
            if must_end(control):
                raise _Marker
            return 0
        try:
            return serve(*(argument & _LOW_32 for argument in arguments))
        except BaseException as error:
            control.halt(error)
        raise _Marker

    return guarded


def _memory(store: wasmtime.Store, memory: wasmtime.Memory) -> Memory:
    return Memory(partial(memory.data_len, store), partial(_view, store, memory), partial(_grow, store, memory))


def _view(store: wasmtime.Store, memory: wasmtime.Memory, size: int) -> memoryview:
    untyped: Any = memory
    return memoryview(untyped.get_buffer_ptr(store, size)).cast("B")


def _grow(store: wasmtime.Store, memory: wasmtime.Memory, pages: int) -> bool:
    try:
        memory.grow(store, pages)
    except wasmtime.WasmtimeError:
        return False
    return True
