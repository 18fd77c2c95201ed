"""The engine's epoch callback: where a computing guest looks up whether it must end."""

import ctypes

from cloche.runtime.wasm import native
from cloche.runtime.wasm.control import here

__all__ = ["arm"]

# The engine's word for "go on, with a new deadline".
_CONTINUE = 0
# Every bump of the epoch is a reason to look: the watch bumps only when a deadline is due or somebody interrupts.
_NEXT_BUMP = 1


def arm(store: int, context: int) -> None:
    """Let a store call back at every bump of its engine's epoch."""
    native.set_epoch_callback(store, _on_epoch, None, None)
    native.set_epoch_deadline(context, _NEXT_BUMP)


@native.epoch_callback
def _on_epoch(_context: int, _data: int | None, delta: int, kind: int) -> int:
    try:
        return _go_on(delta, kind) if _may_go_on() else _end(b"interrupted")
    except BaseException as error:
        return _end(type(error).__name__.encode())


def _may_go_on() -> bool:
    guest = here.guest
    return guest is not None and guest.control.due() is None


def _go_on(delta: int, kind: int) -> int:
    ctypes.c_uint64.from_address(delta).value = _NEXT_BUMP
    ctypes.c_uint8.from_address(kind).value = _CONTINUE
    return 0


def _end(message: bytes) -> int:
    error: int = native.error_new(message)
    return error
