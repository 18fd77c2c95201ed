"""The engine: Wasmtime configured for one kind of guest, with one epoch and one watch."""

import os
import sys
import threading
from collections.abc import Sequence
from typing import ClassVar

from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import METERINGS, Metering, MeteringMode
from cloche.runtime.wasm import native
from cloche.runtime.wasm.deadlines import Control, Watch
from cloche.runtime.wasm.imports import EXPORTS, IMPORTS
from cloche.runtime.wasm.meter import CHARGES_VERSION

__all__ = ["MAX_WASM_STACK", "MIN_WASMTIME", "Engine", "check_version"]


# Earlier versions let a deadline, a limit or the sandbox itself be bypassed (GHSA-j366-h8gg-77pm, CVE-2026-44216).
MIN_WASMTIME = (50, 0, 1)
# Bytes of native stack for the guest's wasm frames: 560 for each of the 12,000 levels that CPython is built to count,
# and as many as leave the host its share of the usual 8 MiB thread.
MAX_WASM_STACK = 13 << 19
# A whole 32-bit address space, so that a memory never moves and needs no bounds checks in compiled code.
_RESERVATION = 1 << 32
# Reaches every 32-bit address plus a 32-bit offset that the compiler can fold.
_GUARD = 32 << 20

# Proposals that the guest does not use: each one off is code that no guest can reach.
_OFF = (
    "wasm_threads",
    "shared_memory",
    "wasm_tail_call",
    "wasm_function_references",
    "wasm_gc",
    "wasm_memory64",
    "wasm_relaxed_simd",
    "wasm_exceptions",
    "wasm_wide_arithmetic",
    "wasm_custom_page_sizes",
    "wasm_stack_switching",
    "wasm_component_model",
)
# On for images with C++ in them, and for no others.
_EXCEPTIONS = "wasm_exceptions"
# The engine's numbers for its optimising compiler, and for what it optimises.
_CRANELIFT, _FOR_SPEED = 1, 1
_ON = ("wasm_simd", "wasm_bulk_memory", "wasm_multi_value", "wasm_reference_types")


def check_version(version: str = native.WASMTIME_VERSION) -> None:
    """Raise ImportError if this version of Wasmtime is below the floor."""
    found = tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
    if found < MIN_WASMTIME:
        floor = ".".join(map(str, MIN_WASMTIME))
        raise ImportError(
            f"Cloche needs wasmtime {floor} or later and found {version}: pip install 'wasmtime>={floor}'"
        )


class Engine:
    """Compiles and runs guests with one kind of metering. May be shared by all threads.

    ``mode`` is the row of :data:`METERINGS` that says what it can do. With ``exceptions`` guests may throw and catch
    WebAssembly's, which C++ needs. Use :meth:`shared`, which keeps one of each kind per process.

    Raises ConfigurationError for another ``metering``, and in a process that was forked from one with an engine.
    """

    _shared: ClassVar[dict[tuple[Metering, bool], "Engine"]] = {}
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self, metering: Metering = "fuel", *, exceptions: bool = False, max_wasm_stack: int = MAX_WASM_STACK
    ) -> None:
        if metering not in METERINGS:
            raise ConfigurationError("metering", f"{metering!r} is not a metering: write {' or '.join(METERINGS)}")
        forks.require_same_process()
        self.metering: Metering = metering
        self.mode = METERINGS[metering]
        self.max_wasm_stack = max_wasm_stack
        self.off = tuple(name for name in _OFF if not (exceptions and name == _EXCEPTIONS))
        self.handle = native.new_engine(_settings(self.mode, self.off, max_wasm_stack))
        self.forks = forks
        self.address = self.handle.address
        self.watch = Watch(self.bump)
        forks.engines = True

    @classmethod
    def shared(cls, metering: Metering = "fuel", exceptions: bool = False) -> "Engine":
        """Return this process's engine of that kind, made at the first call."""
        kind = metering, exceptions
        with cls._lock:
            if kind not in cls._shared:
                cls._shared[kind] = cls(metering, exceptions=exceptions)
            return cls._shared[kind]

    def bump(self) -> None:
        """Have every computing guest look whether it must end. From any thread."""
        if self.mode.charges:
            self.watch.ask_all()
        else:
            native.increment_epoch(self.address)

    def ask(self, control: Control) -> None:
        """Have one computing guest look, and no others where that can be helped. From any thread."""
        if control.meter is not None:
            control.meter.ask()
        elif not self.mode.charges:
            native.increment_epoch(self.address)

    def settings(self) -> dict[str, object]:
        """Return everything that compiled code depends on besides the module, as JSON-able values."""
        return {
            "wasmtime": native.WASMTIME_VERSION,
            "metering": self.metering,
            "charges": CHARGES_VERSION if self.mode.charges else 0,
            "machine": native.MACHINE,
            "system": sys.platform,
            "interface": [IMPORTS, EXPORTS],
            "memory": [_RESERVATION, _GUARD],
            "off": list(self.off),
        }

    def require_usable(self) -> None:
        """Raise ConfigurationError in a process that was forked after an engine was made."""
        forks.require_same_process()


def _settings(mode: MeteringMode, off: Sequence[str], max_wasm_stack: int) -> dict[str, bool | int]:
    return {
        **{name: name not in off for name in _OFF},
        **dict.fromkeys(_ON, True),
        # The meter is a second memory, which only the charges address.
        "wasm_multi_memory": mode.charges,
        # The charges say which of their branches are rare.
        "wasm_branch_hinting": mode.charges,
        "consume_fuel": mode.counts_fuel and not mode.charges,
        "epoch_interruption": mode.interrupts and not mode.charges,
        "strategy": _CRANELIFT,
        "cranelift_opt_level": _FOR_SPEED,
        "memory_reservation": _RESERVATION,
        "memory_guard_size": _GUARD,
        "memory_may_move": False,
        "memory_init_cow": True,
        # The engine refuses a wasm stack larger than the stack of its (unused) fibers by aborting the process.
        "async_stack_size": max_wasm_stack + (2 << 20),
        "max_wasm_stack": max_wasm_stack,
    }


class Forks:
    """Knows whether this process was forked from one that had an engine: its threads and locks did not come along."""

    def __init__(self) -> None:
        self.engines = False
        self.forked = False

    def note_fork(self) -> None:
        self.forked = self.forked or self.engines

    def require_same_process(self) -> None:
        if self.forked:
            raise ConfigurationError(
                "process", "this process was forked after Cloche had been used: start it with the spawn method instead"
            )


forks = Forks()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forks.note_fork)
check_version()
