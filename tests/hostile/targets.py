"""What the fuzzer feeds: each of the host's readers of bytes that a guest, a store or a file may have forged.

A target takes bytes and returns a short text that names what became of them. What it raises is a finding: all that a
reader may raise is caught here.
"""

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tests.hostile.mutations import Mutator, Tokens, tokens_of

from cloche.runtime.bridge.environment import Environment, EnvironmentState, FuelClock
from cloche.runtime.bridge.handlers import BridgeHandlers
from cloche.runtime.bridge.pending import PendingCalls
from cloche.runtime.bridge.protocol import FinishedResponse
from cloche.runtime.bridge.run_state import RunState
from cloche.runtime.bridge.transcript import RecordedCall, RecordedClock, RecordedEntropy, RecordedRun, Tape
from cloche.runtime.dispatch import NoTools
from cloche.runtime.errors import GuestError, ProtocolError, RecordingError, SnapshotError
from cloche.runtime.limits import Limits, SessionBudget, Spent
from cloche.runtime.machine_api import StopRun
from cloche.runtime.recording.recording import Recording
from cloche.runtime.session.capture import restore_guest
from cloche.runtime.session.execution import check_answer
from cloche.runtime.session.guest import SessionGuest
from cloche.runtime.session.pauses import SuspendedOrigin, run_as_plain
from cloche.runtime.session.requests import error_of_failure
from cloche.runtime.session.session import Session
from cloche.runtime.snapshots.delta import pack
from cloche.runtime.snapshots.format import KnownFacts, SnapshotFacts, join_parts
from cloche.runtime.snapshots.snapshot import Snapshot
from cloche.runtime.values import MalformedValue, ValueCodecError, decode, encode
from cloche.runtime.wasm import native
from cloche.runtime.wasm.module_file import read_door

__all__ = ["TARGETS", "Target", "outcome_of"]

LIMITS = Limits(time=None, calls=200)
# Bytes that C may write at once.
_ROOM = 65_535
_DIGITS = re.compile(r"[0-9]+|'[^']*'")


def outcome_of(error: BaseException) -> str:
    """Return the kind of an error, without its numbers and names: a new one is something new to start from."""
    return f"{type(error).__name__}: {_DIGITS.sub('#', str(error))[:160]}"


class Target:
    """A reader, and how messages for it are made: from ``seeds``, which are sound."""

    def __init__(self, seeds: Sequence[bytes]) -> None:
        self.seeds = list(seeds)
        self._tokens = [tokens_of(seed) for seed in seeds]

    def learn(self, case: bytes) -> None:
        """Take a message that led somewhere new as one more to start from."""
        self._tokens.append(tokens_of(case))

    def make(self, mutator: Mutator, noise: random.Random, huge: bool) -> bytes:
        """Return a message."""
        return mutator.message(self._seed(noise), self._tokens, huge)

    def _seed(self, noise: random.Random) -> Tokens:
        return self._tokens[int(noise.random() * len(self._tokens))]

    def read(self, case: bytes) -> str:
        """Read a message and return what became of it."""
        raise NotImplementedError


class _Tools(NoTools):
    """Two tools: one answers at once with what it is given, the other one waits."""

    def call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if name == "echo":
            return [args, kwargs]
        return super().call(name, args, kwargs)

    def any_suspends(self) -> bool:
        return True

    def suspends(self, name: str) -> bool:
        return name == "ask"

    def needs_approval(self, name: str) -> bool:
        return name == "ask"

    def check(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        """Take any arguments."""


class CallFrames(Target):
    """What a program sends through the import ``call``, up to the tool and back."""

    _RUNS = 40

    def __init__(self) -> None:
        frames: list[list[Any]] = [
            [0, "echo", [1, "text", b"bytes", [2.5, None, True]], {"key": {"a": 1}}],
            [0, "echo", [(1, 2), {3, 4}, 2**70, 1j], {}],
            [1, 7, "echo", [1], {}],
            [0, "ask", ["Sure?"], {}],
            [1, 8, "ask", [], {"x": 1}],
            [2, None],
            [2, 0.25],
            [3, 7],
            [4, 1.5],
            [5, 1],
            [0, "nothing", [], {}],
        ]
        super().__init__([encode(frame) for frame in frames])
        self._left = 0

    def read(self, case: bytes) -> str:
        if not self._left:
            self._begin()
        self._left -= 1
        try:
            reply = self._host.call(case)
        except StopRun as stop:
            self._left = 0
            if not isinstance(stop.reason, GuestError):
                raise stop.reason from None
            return outcome_of(stop.reason)
        answer: Any = decode(reply)
        return f"answered {answer[0]}"

    def _begin(self) -> None:
        tools, self._left = _Tools(), self._RUNS
        self._host = BridgeHandlers(tools, Environment(b"seed", FuelClock()), Tape(1 << 20))
        self._host.begin(RunState(LIMITS, None, PendingCalls(tools, allowed=True)), None)


class Responses(Target):
    """What the interpreter answers to a request, forged by a program that took its place."""

    def __init__(self) -> None:
        failure = {"kind": "exception", "type": "E", "module": "m", "message": "x", "traceback": "t", "line": 1}
        answers: list[list[Any]] = [
            [0, None, None],
            [0, {"rows": [1, 2.5, "x"]}, None],
            [0, None, failure],
            [0, None, failure | {"kind": "too_large", "line": None}],
            [0, None, failure | {"kind": "unserializable"}],
            [0, None, failure | {"type": "MemoryError", "module": "builtins", "message": ""}],
            [1, [[1, 5], [2, None]]],
        ]
        super().__init__([encode(answer) for answer in answers])
        self._frame = encode([0, "ask", [], {}])

    def read(self, case: bytes) -> str:
        waiting = PendingCalls(_Tools(), allowed=True)
        host = BridgeHandlers(_Tools(), Environment(b"seed", FuelClock()), Tape())
        host.begin(RunState(LIMITS, None, waiting), None)
        for _ in range(2):
            host.call(self._frame)
        try:
            answer = check_answer(case, RunState(LIMITS), waiting)
        except ProtocolError as error:
            return outcome_of(error)
        except StopRun as stop:
            if not isinstance(stop.reason, GuestError):
                raise stop.reason from None
            return outcome_of(stop.reason)
        if isinstance(answer, FinishedResponse) and answer.failure is not None:
            reported = error_of_failure(answer.failure, LIMITS, 1 << 20)
            assert len(str(reported)) <= LIMITS.message + 1_000
            return f"failed {type(reported).__name__}"
        return f"answered {type(answer).__name__}"


class Values(Target):
    """A value alone, in both directions: what was let in can be sent out again, and C reads and writes the same."""

    def __init__(self) -> None:
        import datetime
        import decimal
        import fractions
        import pathlib
        import uuid

        values: list[Any] = [
            [1, -1, 2**63, 1.5, "x", b"y", None, True, [[]], {"a": {"b": []}}],
            [(1, 2), {1, 2}, frozenset({3}), {(1, 2): 3}, 2**100, 1j, ValueError("x")],
            [decimal.Decimal("1.5"), fractions.Fraction(1, 3), uuid.UUID(int=5), pathlib.PurePosixPath("/a")],
            [datetime.datetime(2026, 1, 1), datetime.date(2026, 1, 1), datetime.time(1), datetime.timedelta(1)],
        ]
        super().__init__([encode(value) for value in values])

    def read(self, case: bytes) -> str:
        in_c: tuple[Any] | None = None if native.host is None else native.host.read(case)
        try:
            value = decode(case)
        except MalformedValue as error:
            assert in_c is None
            return outcome_of(error)
        try:
            data = encode(value)
        except ValueCodecError as error:
            assert in_c is None
            return f"not sent {outcome_of(error)}"
        if in_c is not None:
            assert encode(in_c[0]) == data
        if native.host is not None and len(data) < _ROOM:
            assert native.host.write(value, _ROOM) in (None, data)
        return f"a {type(value).__name__}"


class _Machine:
    """A guest that holds its memory and does nothing."""

    dead = False
    stack_pointer = 4096

    def __init__(self, size: int) -> None:
        self._size = size

    def restore(self, pieces: object, size: int, stack_pointer: int) -> None:
        """Take any state."""

    def close(self) -> None:
        """Nothing is held."""


class _Source:
    """Makes them, of an image of two pages."""

    digest, metered, min_memory, caps = "ab" * 32, True, 1 << 16, None

    def __init__(self) -> None:
        self._pristine = memoryview(bytes(1 << 16))

    def new(self, handlers: object, memory_limit: int) -> Any:
        return _Machine(self.min_memory)

    def pristine(self) -> memoryview:
        return self._pristine

    def fits_here(self) -> bool:
        return True


class Snapshots(Target):
    """A snapshot with a sound checksum, which anyone can make, and what is in it; restored as far as a guest."""

    def __init__(self) -> None:
        self._source: Any = _Source()
        memory = bytearray(1 << 16)
        memory[100:104] = b"abcd"
        memory[9000:9004] = b"abcd"
        self._body = pack(memoryview(memory), self._source.pristine(), [(0, 1 << 16)])
        wholes = [bytes(Snapshot.make(facts, self._body)) for facts in _facts()]
        self._bodies = sorted({_parts_of(whole)[1] for whole in wholes})
        super().__init__([_parts_of(whole)[0] for whole in wholes])

    def make(self, mutator: Mutator, noise: random.Random, huge: bool) -> bytes:
        """Return a header or a memory that was changed, with a sound checksum; seldom a changed whole."""
        kind = noise.random()
        header, body = b"".join(self._seed(noise)), noise.choice(self._bodies)
        if kind < 0.75:
            header = super().make(mutator, noise, huge)
        elif kind < 0.95:
            body = mutator.spoilt(body)
        # A header that is larger is refused by its length alone.
        whole = join_parts(header[: 4 << 20], body)
        return mutator.spoilt(whole) if kind > 0.98 else whole

    def learn(self, case: bytes) -> None:
        """Take its header as one more to start from."""
        super().learn(_parts_of(case)[0])

    def read(self, case: bytes) -> str:
        try:
            snapshot = Snapshot.from_bytes(case)
            snapshot.check()
            facts, tools = snapshot.facts, _Tools()
            guest = SessionGuest(self._source, tools, Environment(None, None), 1 << 20, True)
            restore_guest(guest, snapshot)
            origin = None if facts.suspension is None else SuspendedOrigin(facts.suspension, None)
            session = Session(guest, LIMITS.replace(memory=1 << 20), origin)
            calls = snapshot.calls
            assert session.suspended is None or len(session.suspended.calls) == len(calls)
            assert len(f"{session.suspended} {calls}") > 0
            assert guest.environment.now(0) + guest.environment.now(1) >= 0
        except SnapshotError as error:
            return outcome_of(error)
        return f"restored, {len(calls)} calls wait"


def _parts_of(whole: bytes) -> tuple[bytes, bytes]:
    """Return a snapshot's header and body, as far as they are there."""
    end = 24 + int.from_bytes(whole[12:16], "little")
    return whole[24:end], whole[end:-32]


def _facts() -> list[SnapshotFacts]:
    world = EnvironmentState(b"seed", 4, 1_000_000, 10, 0)
    known = KnownFacts({"files": 3}, None)
    whole = SnapshotFacts(
        "ab" * 32, 1, 1 << 16, 4096, ("ask", "echo"), Spent(3, 1_000, 0.25, 12, 2), None, world, known
    )
    tools = _Tools()
    run = RunState(LIMITS, None, PendingCalls(tools, allowed=True))
    host = BridgeHandlers(tools, Environment(None, FuelClock()), Tape())
    host.begin(run, None)
    for frame in ([0, "ask", ["Sure?"], {}], [1, 3, "ask", [], {"x": 2}], [0, "ask", ["?" * 200], {}]):
        host.call(encode(frame))
    host.write(1, b"printed")
    return [
        whole,
        replace(whole, budget=SessionBudget(runs=9, time=1.5), tenant="acme"),
        replace(whole, suspension=run_as_plain(run)),
    ]


_WORDS = ("[[]]", '{"$bytes": "!"}', '{"$message": [[{}, 1e999]]}', '{"$text": 1}', "-1", "1e400", "9" * 5_000)


class Recordings(Target):
    """A recording, in both its forms."""

    def __init__(self) -> None:
        frame, reply = encode([0, "echo", [1], {}]), encode([0, [1]])
        run = RecordedRun([encode([1, "x", "f", {}])], 5_000, "x", [encode([0, None, None])], used=40)
        run.events += [RecordedCall(frame, reply, False), RecordedClock(0, 17), RecordedEntropy(b"1234")]
        run.output, run.error = b"printed\xff", ["ValueError", "x"]
        whole = Recording("ab" * 32, 1, 1 << 20, True, None, (run, run))
        self._json = whole.to_json()
        super().__init__([whole.to_bytes()])
        self._words = sorted(set(re.findall(r'"[^"]*"|[0-9]+|[\[\]{},:]', self._json)))

    def make(self, mutator: Mutator, noise: random.Random, huge: bool) -> bytes:
        """Return a document of one of the two forms."""
        if noise.random() < 0.6:
            return super().make(mutator, noise, huge)
        if noise.random() < 0.3:
            return mutator.spoilt(self._json.encode())
        text = self._json
        for _ in range(1 + int(noise.random() * 3)):
            word = noise.choice(self._words)
            other = noise.choice([*self._words, *_WORDS])
            text = text.replace(word, other, 1 if noise.random() < 0.7 else -1)
        if huge:
            text = text.replace("17", "[" * 200_000, 1)
        return text.encode()

    def learn(self, case: bytes) -> None:
        """Take it as one more to start from, if it is not JSON."""
        if case[:1] not in (b"{", b" ", b"\n"):
            super().learn(case)

    def read(self, case: bytes) -> str:
        try:
            recording = Recording.from_bytes(case)
        except RecordingError as error:
            return outcome_of(error)
        if len(case) < 100_000:
            json.loads(recording.to_json())
            recording.to_bytes()
        return f"read, {len(recording.runs)} runs"


class WasmSections(Target):
    """A module's imports and exports, which are read without compiling it."""

    def __init__(self) -> None:
        imports = b"\x02" + b"\x06cloche\x04call\x00\x01" + b"\x06cloche\x04take\x00\x02"
        exports = b"\x02" + b"\x06memory\x02\x00" + b"\x0bcloche_step\x00\x05"
        module = b"\0asm\x01\0\0\0"
        module += b"\x02" + bytes([len(imports)]) + imports + b"\x07" + bytes([len(exports)]) + exports
        super().__init__([module])

    def make(self, mutator: Mutator, noise: random.Random, huge: bool) -> bytes:
        """Return a module that was changed behind its magic number, as a rule."""
        module = noise.choice(self.seeds)
        for _ in range(1 + int(noise.random() * 4)):
            module = module[:8] + mutator.spoilt(module[8:])
        return module[:9] + b"\x80" * 300_000 + module[9:] if huge else module

    def learn(self, case: bytes) -> None:
        """Take it as one more to start from."""
        if len(case) < 1_000:
            self.seeds.append(case)

    def read(self, case: bytes) -> str:
        try:
            door = read_door(case)
        except ValueError as error:
            # Without the name in front, which may be any.
            return str(error)[-17:]
        return f"read, {bool(door.imports)} {bool(door.exports)}"


TARGETS: dict[str, Callable[[], Target]] = {
    "call frames": CallFrames,
    "responses": Responses,
    "values": Values,
    "snapshots": Snapshots,
    "recordings": Recordings,
    "wasm sections": WasmSections,
}
