"""Snapshots that must not be restored, and errors that say why."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from cloche import (
    BudgetSpent,
    CallsExceeded,
    FuelExhausted,
    Limits,
    Sandbox,
    SessionBudget,
    SessionBusy,
    SessionClosed,
    Snapshot,
    SnapshotCorrupt,
    SnapshotMismatch,
)
from cloche.runtime.machine_api import Handlers
from cloche.runtime.wasm.image import GuestImage
from cloche.runtime.wasm.machine import ImageSource, WasmMachine

BOX = Sandbox()
TOY = Path(__file__).parents[2] / "unit" / "wasm" / "toy.wat"


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    with BOX.session() as session:
        session.run("x = 41").unwrap()
        return session.snapshot()


class Watched(ImageSource):
    """A source that says whether a machine was made."""

    made = 0

    def new(self, handlers: Handlers, memory_limit: int) -> WasmMachine:
        self.made += 1
        return super().new(handlers, memory_limit)


def remade(snapshot: Snapshot, **changes: Any) -> Snapshot:
    return Snapshot.make(replace(snapshot.facts, **changes), changes.pop("body", snapshot.body))


@pytest.mark.parametrize(
    ("changes", "what"),
    [({"image": "0" * 64}, "image"), ({"abi": 99}, "abi"), ({"size": 1 << 31}, "memory")],
)
def test_what_does_not_fit_is_named_and_no_machine_is_made(
    snapshot: Snapshot, changes: dict[str, Any], what: str
) -> None:
    source = Watched()
    with pytest.raises(SnapshotMismatch) as caught:
        Sandbox(source=source).restore(remade(snapshot, **changes))
    assert caught.value.what == what
    assert source.made == 0


def test_a_snapshot_of_another_image_is_refused(snapshot: Snapshot, tmp_path: Path) -> None:
    # A small one, which is compiled in no time.
    other = tmp_path / "toy.wasm"
    other.write_bytes(wasmtime.wat2wasm(TOY.read_text()))
    source = ImageSource(GuestImage(other))
    with pytest.raises(SnapshotMismatch, match="image"):
        Sandbox(source=source).restore(snapshot)


@pytest.mark.parametrize("changes", [{"size": 65_536}, {"stack_pointer": 1 << 32}])
def test_impossible_sizes_are_refused(snapshot: Snapshot, changes: dict[str, Any]) -> None:
    with pytest.raises(SnapshotCorrupt, match="impossible size"):
        BOX.restore(remade(snapshot, **changes))


@pytest.mark.parametrize(
    ("start", "problem"), [(b"\xff", "unknown way"), (b"\0\xff", "decompressed"), (b"\1", "size it states")]
)
def test_a_forged_memory_is_refused(snapshot: Snapshot, start: bytes, problem: str) -> None:
    with pytest.raises(SnapshotCorrupt, match=problem):
        BOX.restore(Snapshot.make(snapshot.facts, start + snapshot.body))


@pytest.mark.parametrize("seed", range(8))
def test_a_memory_of_nonsense_harms_only_its_own_session(snapshot: Snapshot, seed: int) -> None:
    """Whoever makes bytes with a good checksum controls the guest's memory, as every guest does, and no more."""
    import random

    from cloche.runtime.rollback.checkpoint import PAGE
    from cloche.runtime.snapshots.delta import pack

    source = ImageSource()
    noise = random.Random(seed)
    pages = sorted(noise.sample(range(snapshot.memory // PAGE), 400))
    memory = bytearray(bytes(source.pristine()).ljust(snapshot.memory, b"\0"))
    for page in pages:
        memory[page * PAGE : (page + 1) * PAGE] = noise.randbytes(PAGE)
    forged = Snapshot.make(snapshot.facts, pack(memoryview(memory), source.pristine()))
    with BOX.restore(forged, limits=Limits(time=5, fuel=100_000_000)) as session:
        session.run("sum(range(10))")
    assert BOX.run("1 + 1").unwrap() == 2


def test_sealed_for_a_tenant(snapshot: Snapshot) -> None:
    key = os.urandom(32)
    with BOX.restore(snapshot) as session:
        sealed = bytes(session.snapshot(key=key, tenant="acme"))
    with BOX.restore(sealed, key=key, tenant="acme") as session:
        assert session.get("x") == 41
    wrongs: list[dict[str, Any]] = [
        {"key": os.urandom(32), "tenant": "acme"},
        {"key": key, "tenant": "other"},
        {"tenant": "acme"},
        {},
    ]
    for wrong in wrongs:
        with pytest.raises(SnapshotMismatch):
            BOX.restore(sealed, **wrong)


def test_cut_off_and_edited(snapshot: Snapshot) -> None:
    data = bytes(snapshot)
    with pytest.raises(SnapshotCorrupt, match="cut off"):
        BOX.restore(data[: len(data) // 2])
    middle = len(data) // 2
    with pytest.raises(SnapshotCorrupt, match="edited or damaged"):
        BOX.restore(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])


def test_a_closed_or_busy_session_has_no_snapshot() -> None:
    session = BOX.session()
    seen: list[BaseException] = []

    def look(_: object) -> None:
        for use in (session.snapshot, session.fork):
            try:
                use()
            except SessionBusy as error:
                seen.append(error)

    session.run("print(1)", on_event=look).unwrap()
    assert len(seen) == 2
    session.close()
    with pytest.raises(SessionClosed):
        session.snapshot()
    with pytest.raises(SessionClosed):
        session.fork()


def test_what_was_used_counts_on(snapshot: Snapshot) -> None:
    with BOX.restore(snapshot) as session:
        assert session.spent == snapshot.spent
        result = session.run("x")
        assert session.spent.runs == snapshot.spent.runs + 1
        assert session.spent.fuel == snapshot.spent.fuel + (result.usage.fuel or 0)
        with session.fork() as fork:
            assert fork.spent == session.spent


def test_a_budget_goes_on_after_restoring() -> None:
    with BOX.session(budget=SessionBudget(runs=2, fuel=2_000_000_000)) as session:
        session.run("x = 1").unwrap()
        snapshot = session.snapshot()
    with BOX.restore(bytes(snapshot)) as restored:
        restored.run("x += 1").unwrap()
        with pytest.raises(BudgetSpent, match="2 of its 2 runs"):
            restored.run("x")
        assert restored.get("x") == 2  # what was made can still be fetched
        with pytest.raises(BudgetSpent), restored.fork() as fork:
            fork.run("x")
        with BOX.restore(restored.snapshot(), budget=SessionBudget(runs=3)) as more:
            assert more.run("x").unwrap() == 2


def test_a_run_gets_what_is_left() -> None:
    with BOX.session(budget=SessionBudget(fuel=60_000_000)) as session:
        error = session.run("while True: pass").error
        assert isinstance(error, FuelExhausted)
        assert error.limit == 60_000_000
        with pytest.raises(BudgetSpent, match="fuel"):
            session.run("1")


def test_calls_of_all_runs_are_counted() -> None:
    def ping() -> int:
        return 1

    with Sandbox(tools=[ping]).session(budget=SessionBudget(calls=3)) as session:
        assert session.run("ping() + ping()").unwrap() == 2
        error = session.run("ping(); ping()").error
        assert isinstance(error, CallsExceeded)
        assert session.run("'no calls, no problem'").ok
