"""A guest on a machine of its own, whose world is a function of what it has done: paused wherever a test likes."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from cloche.runtime.bridge.protocol import (
    EMPTY_REPLY,
    Call,
    Sleep,
    Start,
    Wait,
    error_reply,
    parse_call,
    parse_response,
    run_request,
    value_reply,
    wait_reply,
)
from cloche.runtime.machine_api import PAUSED
from cloche.runtime.rollback.checkpoint import Checkpoint
from cloche.runtime.wasm.machine import ImageSource, WasmMachine

HERE = Path(__file__).parent
SUSPENSION = HERE.parent / "suspension" / "programs"
COMPUTING = HERE.parents[3] / "bench" / "programs"
SOURCE = ImageSource()
MEMORY, FUEL = 256 << 20, 1 << 60

TOOLS: list[dict[str, Any]] = [
    {
        "name": name,
        "params": [[of, 1, False, None, kind]],
        "returns": "int",
        "doc": "",
        "async": name[0] == "a" and name != "ask",
    }
    for name, of, kind in [("ask", "x", "int"), ("fail", "why", "str"), ("aask", "x", "int"), ("afail", "why", "str")]
]


def programs() -> list[Path]:
    """All programs that are paused."""
    own = sorted((HERE / "programs").glob("*/*.py"))
    return own + sorted(SUSPENSION.glob("*.py")) + sorted(COMPUTING.glob("[a-z]*.py"))


class World:
    """Answers a guest: tools by rule, time by sleeping alone, random bytes by counting."""

    def __init__(self) -> None:
        self.output: list[tuple[int, bytes]] = []
        self._time = 0
        self._drawn = 0
        self._settled: list[bytes] = []

    def call(self, frame: bytes) -> bytes:
        match parse_call(frame):
            case Call(name, args, kwargs):
                return self._outcome(name, args, kwargs)
            case Start(number, name, args, kwargs):
                self._settled.append(self._outcome(name, args, kwargs, number))
            case Sleep(seconds):
                self._pass(seconds)
            case Wait(timeout):
                items, self._settled = self._settled, []
                self._pass(0 if items else timeout or 0)
                return wait_reply(items)
            case _:
                pass
        return EMPTY_REPLY

    def write(self, stream: int, data: bytes) -> None:
        self.output.append((stream, data))

    def clock(self, which: int) -> int:
        return self._time

    def entropy(self, size: int) -> bytes:
        self._drawn += 1
        return hashlib.shake_256(str(self._drawn).encode()).digest(size)

    def _pass(self, seconds: float) -> None:
        self._time += int(seconds * 1_000_000_000) + 1

    def _outcome(self, name: str, args: list[Any], kwargs: dict[str, Any], number: int | None = None) -> bytes:
        argument = [*args, *kwargs.values()][0]
        if name in ("fail", "afail"):
            return error_reply("RuntimeError", argument, id=number)
        return value_reply(argument * 10, id=number)


class Outcome(NamedTuple):
    """What a program has come to."""

    response: bytes
    output: list[tuple[int, bytes]]
    fuel: int


class Guest:
    """One program on one machine at a time, to be moved to another one. ``pauses`` counts them."""

    def __init__(self, code: str) -> None:
        self._world = World()
        self._request = run_request(code, "<run 1>", {"tools": TOOLS})
        self._machine: WasmMachine = SOURCE.new(self._world, MEMORY)
        self._machine.set_fuel(FUEL)
        self.pauses = 0

    def move(self) -> WasmMachine:
        """Continue in another instance, and return it."""
        old, left = self._machine, self._machine.fuel_left()
        taken = Checkpoint.take(old, SOURCE.pristine())
        old.close()
        self._machine = SOURCE.new(self._world, MEMORY)
        self._machine.restore(*taken)
        self._machine.set_fuel(left)
        return self._machine

    def run(self, ask: Callable[["Guest", WasmMachine], None]) -> Outcome:
        """Run the program to its end; ``ask`` is called before each step, and may ask for a pause."""
        request = self._request
        while True:
            ask(self, self._machine)
            response = self._machine.step(request)
            self._machine.unpause()
            if response is not PAUSED:
                break
            self.pauses, request = self.pauses + 1, b""
        outcome = Outcome(response, self._world.output, FUEL - self._machine.fuel_left())
        self._machine.close()
        return outcome


def straight(code: str) -> Outcome:
    """The program without a pause."""
    return Guest(code).run(lambda guest, machine: None)


def shown(response: bytes) -> Any:
    """A response in a form that says what differs."""
    return parse_response(response)
