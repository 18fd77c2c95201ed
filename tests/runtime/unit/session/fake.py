"""A machine without WebAssembly: its guest keeps its variables in its memory and understands a handful of commands."""

from collections.abc import Callable, Sequence
from typing import Any

from cloche.runtime.errors import GuestCrashed
from cloche.runtime.machine_api import Handlers, Piece, Place, StopRun, StopSignal
from cloche.runtime.values import decode, encode
from cloche.runtime.wasm.traps import StopKind, Stopped

__all__ = ["FakeMachine", "FakeSource"]

PAGE = 4096


def failure(kind: str, name: str, message: str) -> dict[str, Any]:
    return {"kind": kind, "type": name, "module": "builtins", "message": message, "traceback": "", "line": 1}


class FakeMachine:
    """Runs requests whose code is ``command argument``; see ``_COMMANDS`` at the end of the class."""

    def __init__(self, handlers: Handlers, size: int = 4 * PAGE) -> None:
        self.handlers = handlers
        self.memory = bytearray(size)
        self.stack_pointer = 7
        self.dead = self.closed = False
        self.fuel = 0
        self.stop = StopSignal()
        self.requests: list[list[Any]] = []
        self._store({})

    def step(self, request: bytes, *, stack_checked: bool = False) -> bytes:
        assert not self.dead
        frame: list[Any] = decode(request)
        self.requests.append(frame)
        self.fuel -= 10
        try:
            if self.stop.reason is not None:
                raise Stopped(StopKind.INTERRUPTED, reason=self.stop.reason)
            answer = self._answer(frame)
        except Stopped:
            self.dead = True
            raise
        except BaseException as error:
            self.dead = True
            reason = error.reason if isinstance(error, StopRun) else error
            raise Stopped(StopKind.HOST, reason=reason) from None
        return answer if isinstance(answer, bytes) else encode(answer)

    def allow(self, fuel: int | None, stop: StopSignal) -> None:
        self.fuel, self.stop = self.fuel if fuel is None else fuel, stop

    def set_fuel(self, amount: int) -> None:
        self.fuel = amount

    def fuel_left(self) -> int:
        return self.fuel

    def wake(self) -> None:
        pass

    def pause(self) -> bool:
        return False

    def unpause(self) -> None:
        pass

    def locate(self) -> list[Place] | None:
        return None

    def memory_size(self) -> int:
        return len(self.memory)

    def view(self) -> memoryview:
        return memoryview(self.memory)

    def written(self) -> list[tuple[int, int]]:
        return [(0, len(self.memory))]

    def write(self, pointer: int, data: bytes) -> None:
        self.memory[pointer : pointer + len(data)] = data

    def restore(self, pieces: Sequence[Piece], size: int, stack_pointer: int) -> None:
        self.memory.extend(bytes(max(0, size - len(self.memory))))
        for pointer, data in pieces:
            self.memory[pointer : pointer + len(data)] = data
        self.stack_pointer = stack_pointer

    def vacate(self, spans: list[tuple[int, int]]) -> None:
        self.memory = bytearray(len(self.memory))

    def occupy(self) -> None:
        pass

    def grow_to(self, size: int) -> None:
        self.memory.extend(bytes(max(0, size - len(self.memory))))

    def close(self) -> None:
        self.dead = self.closed = True

    @property
    def variables(self) -> dict[str, Any]:
        size = int.from_bytes(self.memory[:4], "little")
        found: dict[str, Any] = decode(bytes(self.memory[4 : 4 + size]))
        return found

    def _store(self, variables: dict[str, Any]) -> None:
        data = encode(variables)
        self.write(0, len(data).to_bytes(4, "little") + data)

    def _answer(self, frame: list[Any]) -> Any:
        match frame:
            case [1, code, _, _]:
                command, _, argument = code.partition(" ")
                return _COMMANDS[command](self, argument)
            case [2, outcomes, _]:
                return self.resumed(outcomes)
            case [4, values]:
                self._store(self.variables | values)
            case [5, name] if name in self.variables:
                return [0, self.variables[name], None]
            case [5, name]:
                return [0, None, failure("exception", "NameError", name)]
            case _:
                pass
        return [0, None, None]

    def do_set(self, argument: str) -> Any:
        name, _, value = argument.partition("=")
        self._store(self.variables | {name: value})
        return [0, None, None]

    def do_call(self, argument: str) -> Any:
        name, *args = argument.split(",")
        kind, *rest = decode(self.handlers.call(encode([0, name, args, {}])))
        if kind == 2:
            return self.suspended(rest)
        return [0, rest[0], None] if kind == 0 else [0, None, failure("exception", *rest)]

    def do_start(self, argument: str) -> Any:
        """Start calls, ``f,1;g,2``, and wait for them: the value is what came of those that have to wait."""
        waiting: list[int] = []
        for number, call in enumerate(argument.split(";")):
            name, *args = call.split(",")
            kind, *rest = decode(self.handlers.call(encode([1, number, name, args, {}])))
            waiting += rest if kind == 2 else []
        while (reply := decode(self.handlers.call(encode([2, None]))))[0] != 2:
            if reply == [0, []]:
                return [0, None, None]
        return self.suspended(waiting)

    def suspended(self, ids: list[int]) -> Any:
        self._store(self.variables | {"waiting": ids})
        return [1, [[id_, 7] for id_ in ids]]

    def resumed(self, outcomes: list[list[Any]]) -> Any:
        variables = self.variables
        answered = variables.get("answered", []) + outcomes
        left = [id_ for id_ in variables["waiting"] if id_ not in [outcome[0] for outcome in answered]]
        self._store(variables | {"answered": answered, "waiting": left})
        if left:
            return self.suspended(left)
        if "trap" in [outcome[2] for outcome in outcomes]:
            raise Stopped(StopKind.UNREACHABLE)
        self._store({name: value for name, value in variables.items() if name not in ("waiting", "answered")})
        return [0, [outcome[1:] for outcome in answered], None]

    def do_frame(self, argument: str) -> Any:
        return [0, decode(self.handlers.call(bytes.fromhex(argument))), None]

    def do_print(self, argument: str) -> Any:
        self.handlers.write(1, argument.encode())
        return [0, None, None]

    def do_world(self, argument: str) -> Any:
        return [0, [self.handlers.clock(0), self.handlers.entropy(int(argument or 4))], None]

    def do_trap(self, argument: str) -> Any:
        raise Stopped(StopKind[argument])

    def do_until_interrupted(self, argument: str) -> Any:
        while self.stop.reason is None:
            pass
        raise Stopped(StopKind.INTERRUPTED, reason=self.stop.reason)

    def do_grow(self, argument: str) -> Any:
        self.grow_to(int(argument))
        self.memory[-1] = 1
        return [0, None, None]


_COMMANDS: dict[str, Callable[[FakeMachine, str], Any]] = {
    "set": FakeMachine.do_set,
    "get": lambda machine, name: [0, machine.variables.get(name), None],
    "start": FakeMachine.do_start,
    "call": FakeMachine.do_call,
    "frame": FakeMachine.do_frame,
    "print": FakeMachine.do_print,
    "world": FakeMachine.do_world,
    "trap": FakeMachine.do_trap,
    "loop": FakeMachine.do_until_interrupted,
    "grow": FakeMachine.do_grow,
    "pass": lambda machine, _: [0, None, None],
    "raise": lambda machine, name: [0, None, failure("exception", name, "")],
    "unserializable": lambda machine, text: [0, None, failure("unserializable", "E", text)],
    "too_large": lambda machine, _: [0, None, failure("too_large", "E", "")],
    "answer": lambda machine, text: bytes.fromhex(text),
    "crash": lambda machine, text: (_ for _ in ()).throw(GuestCrashed(text)),
}


class FakeSource:
    """Makes fake machines, and remembers them."""

    digest = "0" * 64
    caps: dict[str, int] | None = None
    min_memory = 4 * PAGE

    can_pause = False
    can_leave = False

    def __init__(self, metered: bool = True, fits: bool = True) -> None:
        self.metered = metered
        self.fits = fits
        self.machines: list[FakeMachine] = []
        self.fail: BaseException | None = None

    def new(self, handlers: Handlers, memory_limit: int) -> FakeMachine:
        if self.fail is not None:
            raise self.fail
        machine = FakeMachine(handlers)
        self.machines.append(machine)
        return machine

    def pristine(self) -> memoryview:
        return FakeMachine(_NoHandlers()).view().toreadonly()

    def fits_here(self) -> bool:
        return self.fits


class _NoHandlers:
    def call(self, frame: bytes) -> bytes:
        raise AssertionError

    def write(self, stream: int, data: bytes) -> None:
        raise AssertionError

    def clock(self, which: int) -> int:
        raise AssertionError

    def entropy(self, size: int) -> bytes:
        raise AssertionError
