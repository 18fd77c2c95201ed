"""One live guest, requests in and responses out, and the source that makes such machines of an image."""

import sys
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from threading import get_ident
from typing import Any, NoReturn

from cloche.runtime.errors import (
    ConfigurationError,
    GuestCrashed,
    GuestError,
    MemoryExceeded,
    ProtocolError,
    SessionBusy,
    SessionClosed,
)
from cloche.runtime.limits import Metering
from cloche.runtime.machine_api import PAUSED, Handlers, Piece, Place, StopSignal
from cloche.runtime.result import Result, Usage
from cloche.runtime.threads import guest_threads
from cloche.runtime.wasm import native, signals, stack
from cloche.runtime.wasm.deadlines import Control
from cloche.runtime.wasm.engine import Engine
from cloche.runtime.wasm.image import GuestImage
from cloche.runtime.wasm.imports import MAX_FRAME, GuestImports
from cloche.runtime.wasm.instance import Instance, InstanceTemplate, StoreLimits
from cloche.runtime.wasm.memory import Span, written_spans
from cloche.runtime.wasm.meter import FUEL_FULL
from cloche.runtime.wasm.pausing import PauseSwitch
from cloche.runtime.wasm.traps import StopKind, Stopped

__all__ = ["TABLE_ELEMENTS", "ImageSource", "WasmMachine", "require_frames"]


# The default cap of elements over all tables: CPython's one table has about 10,000, and nothing grows it.
TABLE_ELEMENTS = 65_536
_TABLES = 4
SMALL_INBOX = 16_384
"""Bytes up to which all requests go to the same place in the guest, as docs/abi.md says."""
_MAX_MEMORY = 1 << 32
# A memory with less room than this is full: the interpreter asks for such pieces.
_FULL = 1 << 20
# Two callers that ask at once share one switch.
_switching = threading.Lock()
# Python frames that the engine's callbacks need to record an error: see ``require_frames``.
_FRAMES = 12


class WasmMachine:
    """One instance of a module, served by ``handlers``. Used by one thread at a time, except :meth:`wake`.

    ``memory_limit`` caps linear memory and ``table_elements`` the tables; ``max_frame`` caps, in bytes, a request, a
    response, and whatever the guest passes to a handler. Fuel starts out practically unlimited, and there is no
    deadline.

    After :class:`Stopped` the machine is dead: its memory may be in any state. Close it and make another.

    Raises ConfigurationError for limits that cannot hold the module, ImageError where it cannot be started.
    """

    def __init__(
        self,
        template: InstanceTemplate,
        handlers: Handlers,
        memory_limit: int,
        *,
        max_frame: int = MAX_FRAME,
        table_elements: int = TABLE_ELEMENTS,
    ) -> None:
        engine = template.engine
        if engine.forks.forked:
            engine.require_usable()
        _check_limits(memory_limit, table_elements, template.min_memory)
        self._template = template
        self.engine = engine
        self.memory_limit = memory_limit
        self.dead = False
        self._max_frame = max_frame
        self._turn = threading.Lock()
        self._control = Control()
        facts = template.pause_facts
        self._host = GuestImports(handlers, max_frame, () if facts is None else facts.waits)
        self._limits = StoreLimits(memory_limit, table_elements, _TABLES)
        self._take_guest()
        # Known beforehand: a guest that was restored must not spend more fuel than one that was asked long ago.
        self._metered = engine.mode.counts_fuel
        self._small_inbox = template.small_inbox
        self._closed = False
        # The fuel that was left, while the machine has no guest.
        self._vacant: int | None = None
        # What the guest had left when its fuel was set: the most that a pause can give back is what it used since.
        self._allowance = FUEL_FULL

    @property
    def stop(self) -> StopSignal:
        """The signal that the guest obeys: the one of :meth:`allow`, or one without a deadline."""
        return self._control.stop

    @property
    def control(self) -> Control:
        """What may end the guest, and what has."""
        return self._control

    @property
    def stopped(self) -> BaseException | None:
        """What ended the guest: a handler's or interrupt's exception, or the Stopped of a trap; None while alive."""
        stopped = self._control.stopped
        return stopped if stopped is None or stopped.reason is None else stopped.reason

    def step(self, request: bytes, *, stack_checked: bool = False) -> bytes:
        """Handle one request and return the response. ``stack_checked`` says that this thread's stack has room.

        Raises Stopped when the guest was ended, and the machine is dead then; MemoryExceeded when the request found
        no room in the guest, which lives on; SessionBusy, SessionClosed or ConfigurationError when nothing was run.
        """
        thread = get_ident()
        if thread != self._thread:
            self._pages.spoil()
        if thread != signals.main.ident:
            return self._take_turn(request, stack_checked)
        self._control.on_main = True
        deferral = signals.main.deferral
        if deferral is None or deferral.control is not None:
            # Stepped by itself, or by a handler of another guest.
            with signals.Deferral() as deferral:
                deferral.control = self._control
                return self._take_turn(request, stack_checked)
        deferral.control = self._control
        if deferral.raised is not None:
            self._control.stop.set(deferral.raised)
        try:
            return self._take_turn(request, stack_checked)
        finally:
            deferral.control = None

    def allow(self, fuel: int | None, stop: StopSignal) -> None:
        """Do :meth:`set_fuel`, unless it is None, and end the guest as soon as it computes when this signal says so."""
        if fuel is not None:
            if self._closed or not self._metered:
                self._require_metered()
            self._allowance = fuel
            meter = self._guest.meter
            if meter is None:
                self._guest.set_fuel(fuel)
            else:
                # Without the call: this is part of every run.
                meter.numbers[0] = fuel
        self._control.stop = stop
        # A guest that does not run yet is looked at when it does.
        if self._turn.locked():
            self.engine.watch.look(self._control)

    def set_fuel(self, amount: int) -> None:
        """Set the fuel left. Raises ConfigurationError if the engine does not meter fuel."""
        if self._closed or not self._metered:
            self._require_metered()
        self._allowance = amount
        self._guest.set_fuel(amount)

    def fuel_left(self) -> int:
        """Return the fuel left. Raises ConfigurationError if the engine does not meter fuel."""
        if self._vacant is not None and not self._closed:
            return max(0, self._vacant - self._host.lent)
        if self._closed or not self._metered:
            self._require_metered()
        left = self._guest.fuel_left() - self._host.lent
        pausing = self._control.pausing
        # What a pause costs is no part of what the program uses, not even while it is on its way out.
        if pausing is not None and pausing.flagged:
            left -= pausing.lent
            left += pausing.cost(self._allowance - left)
        return max(0, left)

    def wake(self) -> None:
        """From any thread: have a guest that computes look at its signal now."""
        self.engine.bump()
        self.engine.watch.look(self._control)

    def pause(self) -> bool:
        """From any thread: have the guest leave at its next check, so that ``step`` returns PAUSED.

        Ask again, every few milliseconds, until it has. Returns False, without asking, if the image cannot do it.
        """
        if self._template.pause_facts is None:
            return False
        self._switch().asked = True
        self.engine.ask(self._control)
        return True

    def unpause(self) -> None:
        """From any thread: ask no longer. A guest that has been asked may still leave."""
        if self._control.pausing is not None:
            self._control.pausing.asked = False

    def locate(self) -> list[Place] | None:
        """From any thread: return where C code was called that has not returned, the outermost first.

        None while that is not known yet: ask again. Only a guest that was asked to leave, and computes, can say.
        """
        pausing = self._control.pausing
        if pausing is None:
            return None
        if pausing.places is None:
            pausing.locate()
            self.engine.bump()
        return pausing.places

    def memory_size(self) -> int:
        """Return the bytes of linear memory. It never shrinks, so this is the peak as well. Works after the end too."""
        return self._memory.size()

    def read(self, pointer: int, length: int) -> bytes:
        """Return a copy of guest memory. Raises ProtocolError outside of it."""
        return self._open().memory.read(pointer, length)

    def write(self, pointer: int, data: bytes) -> None:
        """Overwrite guest memory. Raises ProtocolError outside of it."""
        if get_ident() != self._thread:
            self._pages.spoil()
        self._open().memory.write(pointer, data)

    def restore(self, pieces: Sequence[Piece], size: int, stack_pointer: int) -> None:
        """Write pieces of guest memory, grown to at least ``size`` bytes before, and set the stack pointer.

        Raises MemoryError beyond the limit, ProtocolError for a piece outside the memory.
        """
        if get_ident() != self._thread:
            self._pages.spoil()
        instance = self._open()
        instance.memory.restore(pieces, size)
        instance.set_stack_pointer(stack_pointer)

    def view(self) -> memoryview:
        """Return a writable view of all guest memory, valid until the next step or close."""
        # Whoever has it may hand it to another thread.
        self._pages.spoil()
        return self._open().memory.view()

    def written(self) -> list[Span]:
        """Return the spans of guest memory outside of which it is certainly as the image left it."""
        return written_spans(self.view())

    @property
    def stack_pointer(self) -> int:
        """The guest's own stack pointer, an address in its memory; part of its state between steps."""
        return self._open().stack_pointer()

    def renew(self) -> bool:
        """Bring the guest back to where the image left it, between steps. False if it cannot be used any more.

        Call :meth:`watch_pages` before its next step.
        """
        if self._closed or self.dead or get_ident() != self._thread or not self._template.renew(self._guest):
            self.dead = True
        return not self.dead

    def watch_pages(self) -> None:
        """The calling thread is about to run a guest that was brought back."""
        self._pages.watch()

    def close(self) -> None:
        """Free the guest and its memory. Safe to call twice. Raises SessionBusy while it runs."""
        if not self._turn.acquire(blocking=False):
            raise SessionBusy("this machine is running: interrupt it, and close it when its step has returned")
        try:
            if not self._closed:
                sound, self._closed, self.dead = not self.dead, True, True
                if self._vacant is None:
                    self._template.release(self._guest, sound=sound)
        finally:
            self._turn.release()

    def vacate(self, spans: list[Span]) -> None:
        """Give the guest back, between two steps: its state was copied. Until :meth:`occupy` there is none.

        ``spans`` are what :meth:`written` has said since the last one.

        Raises SessionBusy while it runs, SessionClosed if it was ended.
        """
        if not self._turn.acquire(blocking=False):
            raise SessionBusy("this machine is running")
        try:
            guest = self._open()
            self._vacant = guest.fuel_left() if self._metered else 0
            self._control.meter = self._control.pausing = None
            guest.pages.spans = spans
            guest.pages.watch()
            self._template.release(guest, sound=not self.dead)
        finally:
            self._turn.release()

    def occupy(self) -> None:
        """Have a guest again, as the image left it, with the same fuel left. Raises ImageError where there is none."""
        if self._closed or self._vacant is None:
            self._open()
            return
        left, self._vacant = self._vacant, None
        try:
            self._take_guest()
        except BaseException:
            self._vacant = left
            raise
        if self._metered:
            self._guest.set_fuel(left)

    def _take_guest(self) -> None:
        self._guest = self._template.instance(self._control, self._host, self._limits)
        # The guest may serve another machine once this one is closed; this view of its memory does not.
        self._memory = self._guest.memory
        self._host.meter = self._guest.meter
        self._pages = self._guest.pages
        self._thread = get_ident()

    def _take_turn(self, request: bytes, stack_checked: bool) -> bytes:
        if not self._turn.acquire(blocking=False):
            raise SessionBusy("this machine is already running: a handler may not step the machine that called it")
        try:
            if self.dead or len(request) > self._max_frame:
                self._refuse(request)
            if self._guest.door is None:
                # In C there is no place where an exception could be lost.
                require_frames(_FRAMES)
            if not stack_checked:
                stack.require_room(self.engine.max_wasm_stack)
            return self._exchange(request)
        except (ProtocolError, Stopped) as error:
            raise self._ended_by(error) from None
        finally:
            self._turn.release()

    def _ended_by(self, error: ProtocolError | Stopped) -> Stopped:
        """Note the end of the guest."""
        self.dead = True
        if isinstance(error, ProtocolError):
            return self._control.halt(error)
        if error.kind is StopKind.FUEL:
            # It has none left, whatever it was spent on.
            self._guest.set_fuel(0)
            self._host.lent = 0
            if self._control.pausing is not None:
                self._control.pausing.flagged, self._control.pausing.lent = False, 0
        self._control.stopped = error
        return error

    def runner(self, guest: Any, running: Any, lock: Any, version: Callable[[], int], keeps: bool) -> Any:
        """Return what performs usual runs of this machine in C, on this thread alone; None where that cannot be.

        ``guest`` is the session's, which has ``running`` for as long as this machine is its own, and takes this
        ``lock`` while it runs; ``version`` says whether the tools have changed, and ``keeps`` whether steps are kept.
        """
        stack_here, thread, door = stack.known_stack(), get_ident(), self._guest.door
        if door is None or stack_here is None or thread != self._thread or not self._small_inbox:
            return None
        watch, need = self.engine.watch, self.engine.max_wasm_stack + stack.HOST_ROOM
        times, _ = watch.times.buffer_info()
        on_main = thread == signals.main.ident
        self._control.on_main = self._control.on_main or on_main
        session = (guest, running, lock.acquire, lock.release, version, watch.guests, self._control)
        process = (guest_threads.left_behind, sys.modules, signals.main, stack.in_greenlet)
        return native.host.Runner(
            (door, *session, StopSignal, Result, Usage, *process),
            times,
            (self._small_inbox, SMALL_INBOX),
            (thread, on_main),
            (*stack_here, need),
            keeps,
        )

    @property
    def is_usual(self) -> bool:
        """Whether nothing is known of it that only this module looks after: that it is asked to pause, or has left."""
        pausing = self._control.pausing
        return not (self.dead or self._host.unanswered or (pausing is not None and (pausing.asked or pausing.flagged)))

    def forget_answer(self) -> None:
        """Keep no answer that the guest has not taken, at the end of a run that was not ended by :meth:`end_run`."""
        self._host.kept = None

    def end_run(self, outcome: int | tuple[int, int]) -> bytes:
        """Return the response with which a runner left the guest. Raises as :meth:`step` does."""
        try:
            return self._response(self._guest.outcome(outcome))
        except (ProtocolError, Stopped) as error:
            raise self._ended_by(error) from None
        finally:
            self._host.kept = None

    def _exchange(self, request: bytes) -> bytes:
        control, watch = self._control, self.engine.watch
        overdue = control.due()
        if overdue is not None:
            raise overdue
        watch.enter(control)
        if control.pausing is not None and control.pausing.asked:
            control.pausing.show()
        try:
            size = len(request)
            self._memory.write(self._small_inbox if size <= SMALL_INBOX else self._inbox(size), request)
            response = self._response(self._guest.step(size))
            if self._host.unanswered:
                # It has left at a call, as if it had been asked to.
                self._switch().flagged = True
            return response if control.pausing is None else self._settle_pause(control.pausing, response)
        finally:
            watch.leave(control)
            self._host.kept = None

    def _response(self, packed: int) -> bytes:
        length = packed & 0xFFFF_FFFF
        if not packed or length > self._max_frame:
            raise self._useless(length)
        return self._memory.read(packed >> 32, length)

    def _settle_pause(self, pausing: PauseSwitch, response: bytes) -> bytes:
        """Give back the fuel that the request to leave has cost. A guest that leaves unasked has answered nonsense."""
        if not pausing.flagged:
            return response
        paused = response == PAUSED
        if self._metered:
            left = self._guest.fuel_left() - self._host.lent - pausing.lent
            left += pausing.cost(self._allowance - left, paused=paused)
            self._host.lent = 0
            if left < 0:
                # It has used what was lent, and not for leaving.
                raise Stopped(StopKind.FUEL)
            self._allowance = left
            self._guest.set_fuel(left)
        pausing.settle(paused=paused)
        return PAUSED if paused else response

    def _switch(self) -> PauseSwitch:
        pausing = self._control.pausing
        if pausing is None:
            with _switching:
                pausing = self._control.pausing
                facts = self._template.pause_facts
                if pausing is None and facts is not None:
                    pausing = self._control.pausing = PauseSwitch(facts, self._memory, self._guest.meter)
        if pausing is None:
            raise ProtocolError("a guest that cannot leave has left")
        return pausing

    def _inbox(self, size: int) -> int:
        pointer = self._guest.inbox(size)
        if not pointer:
            raise MemoryExceeded(self.memory_size(), self.memory_limit)
        return pointer

    def _useless(self, length: int) -> Exception:
        if length:
            return ProtocolError(f"a response of {length} bytes is larger than {self._max_frame}")
        return self._control.halt(self._speechless())

    def _speechless(self) -> GuestError:
        """Return why the guest could not even answer with an error: as a rule it has no memory left for it."""
        size = self.memory_size()
        if size + _FULL > self.memory_limit:
            return MemoryExceeded(size, self.memory_limit)
        return GuestCrashed("its interpreter could not answer")

    def _refuse(self, request: bytes) -> NoReturn:
        if self.dead:
            raise SessionClosed("its machine was closed" if self._closed else "its guest was stopped")
        raise ConfigurationError("request", f"{len(request)} bytes are more than {self._max_frame}")

    def _require_metered(self) -> None:
        if not self._metered:
            raise ConfigurationError("metering", f"an engine metering {self.engine.metering!r} counts no fuel")
        self._open()

    def _open(self) -> Instance:
        # The engine's calls on a store that was freed would not fail but crash.
        if self._closed:
            raise SessionClosed("its machine was closed")
        if self._vacant is not None:
            raise SessionBusy("its program rests, and has no guest")
        return self._guest


def _check_limits(memory_limit: int, table_elements: int, minimum: int) -> None:
    # Wasmtime reads a negative or huge number as "no limit".
    if not minimum <= memory_limit <= _MAX_MEMORY:
        raise ConfigurationError("memory", f"{memory_limit} is not between {minimum} (the image) and {_MAX_MEMORY}")
    if not 0 < table_elements < 1 << 32:
        raise ConfigurationError("table_elements", f"{table_elements} is not a positive 32-bit number")


def require_frames(count: int) -> None:
    """Raise RecursionError here, where it is harmless, rather than at the entry of a callback from the engine."""
    if count:
        require_frames(count - 1)
    else:
        # Once through C as well: since 3.12 Python counts frames entered from C apart.
        max((0,), key=_same)


def _same(value: int) -> int:
    return value


class ImageSource:
    """Makes fresh machines of ``image``, by default the shipped one, on the process's engine of that metering.

    The image is loaded when it is first needed; that raises ImageError where it cannot be. May be shared by threads.
    """

    def __init__(self, image: GuestImage | None = None, metering: Metering = "fuel") -> None:
        self.image = image if image is not None else GuestImage.load()
        self.engine = Engine.shared(metering, self.image.exceptions)

    @cached_property
    def template(self) -> InstanceTemplate:
        """What makes the image's instances on that engine."""
        return self.image.template(self.engine)

    @property
    def digest(self) -> str:
        """The SHA-256 of the image, in hexadecimal."""
        return self.image.digest

    @property
    def caps(self) -> dict[str, int] | None:
        """The caps that the image's interpreter has; None if its manifest does not say."""
        return self.image.caps

    @property
    def metered(self) -> bool:
        """Whether its machines count fuel."""
        return self.engine.mode.counts_fuel

    @property
    def can_leave(self) -> bool:
        """Whether the image says what leaving at a call costs."""
        facts = self.template.pause_facts
        return facts is not None and bool(facts.waits)

    @property
    def can_pause(self) -> bool:
        """Whether the image says what it takes to pause its machines."""
        return self.template.pause_facts is not None

    @property
    def min_memory(self) -> int:
        """Bytes of linear memory that a fresh machine has."""
        return self.template.min_memory

    def new(self, handlers: Handlers, memory_limit: int) -> WasmMachine:
        """Return a machine as the image left it, with this cap of linear memory in bytes."""
        return WasmMachine(self.template, handlers, memory_limit)

    def pristine(self) -> memoryview:
        """Return the read-only memory of a machine as the image left it. It costs address space, not memory."""
        return self.template.pristine_memory

    def fits_here(self) -> bool:
        """Return whether the calling thread's stack has room for a guest."""
        return stack.fits(self.engine.max_wasm_stack)
