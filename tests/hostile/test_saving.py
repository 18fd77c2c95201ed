"""A session that is healthy can be saved and restored, whatever its program has sent, at every limit's maximum."""

import time
from dataclasses import replace
from typing import Any

import pytest

from cloche import GuestError, Limits, Sandbox, Session, Snapshot, SnapshotCorrupt, SnapshotMismatch, Suspended, tool
from cloche.runtime.limits import LIMITS
from cloche.runtime.snapshots.format import join_parts
from cloche.runtime.values import encode

KEY = bytes(range(32))


@tool(suspend=True)
def ask(x: bytes) -> int:
    """Ask.

    Args:
        x: What.
    """
    raise RuntimeError("is only answered")


WAITING = """
import asyncio
async def main(count, size):
    data = b"z" * size
    return sum(await asyncio.gather(*[asyncio.to_thread(ask, data) for _ in range(count)]))
print("p" * {printed})
await main({count}, {size})
"""


def waiting(session: Session, count: int, size: int, printed: int = 0) -> Suspended:
    code = WAITING.format(count=count, size=size, printed=printed)
    now = session.start(code)
    assert isinstance(now, Suspended), now.error
    assert len(now.calls) == count
    return now


def saved_and_resumed(box: Sandbox, session: Session, count: int) -> Any:
    """Save a session whose program waits for so many calls, restore it, and answer them."""
    data = bytes(session.snapshot(key=KEY))
    restored = box.restore(data, key=KEY)
    with restored:
        suspended = restored.suspended
        assert suspended is not None
        assert len(Snapshot.from_bytes(data).calls) == len(suspended.calls) == count
        now = suspended.resume({call.id: 1 for call in suspended.calls})
        assert not isinstance(now, Suspended)
        return now.unwrap()


@pytest.mark.parametrize(("count", "size"), [(1, 4_000_000), (6, 4_000_000), (40, 500_000), (256, 10_000)])
def test_calls_that_wait_are_saved_with_all_they_were_given(count: int, size: int) -> None:
    box = Sandbox(tools=[ask], limits=Limits(time=300, fuel=None))
    with box.session() as session:
        waiting(session, count, size)
        assert saved_and_resumed(box, session, count) == count


def test_what_one_run_can_have_wait_is_bounded_or_can_be_saved() -> None:
    box = Sandbox(tools=[ask], limits=Limits(time=300, fuel=None, memory="512 MiB"))
    with box.session() as session:
        now = session.start(WAITING.format(count=70, size=4 * 1024 * 1024 - 100, printed=0))
        if isinstance(now, Suspended):
            assert saved_and_resumed(box, session, 70) == 70
        else:
            assert isinstance(now.error, GuestError)
            assert session.run("1").unwrap() == 1


@pytest.mark.parametrize("name", LIMITS)
def test_at_every_limits_maximum(name: str) -> None:
    row = LIMITS[name]
    settings: dict[str, Any] = {"time": 300, "fuel": None, name: row.maximum}
    box = Sandbox(tools=[ask], limits=Limits(**settings))
    with box.session() as session:
        waiting(session, 3, 100_000, printed=10_000)
        assert saved_and_resumed(box, session, 3) == 3
    if row.liftable:
        lifted: dict[str, Any] = {name: None}
        box = Sandbox(tools=[ask], limits=Limits(**lifted))
        with box.session() as session:
            waiting(session, 1, 10)
            assert saved_and_resumed(box, session, 1) == 1


def test_as_many_calls_as_may_wait_at_the_most() -> None:
    count = LIMITS["pending"].maximum // 5
    box = Sandbox(tools=[ask], limits=Limits(time=600, fuel=None, pending=count, calls=None))
    with box.session() as session:
        waiting(session, count, 10)
        assert saved_and_resumed(box, session, count) == count


def test_two_forged_calls_with_one_number_are_refused() -> None:
    """Of the two one would be made, and the other one shown to whoever approves it. Found by fuzzing."""
    box = Sandbox(tools=[ask], limits=Limits(time=300))
    with box.session() as session:
        waiting(session, 2, 10)
        made = session.snapshot()
    suspension = dict(made.facts.suspension or {})
    first, second = suspension["held"]
    suspension["held"] = [first, [first[0], *second[1:]]]
    forged = Snapshot.make(replace(made.facts, suspension=suspension), made.body)
    with pytest.raises(SnapshotCorrupt, match="one number"):
        box.restore(forged)


HEADERS = {
    "tokens of one byte": b"\xdd" + (3_900_000).to_bytes(4, "big") + b"\x90" * 3_900_000,
    "alternating ints": b"\xdd" + (3_900_000).to_bytes(4, "big") + b"\x01\xe0" * 1_950_000,
    "a map": b"\xdf" + (1_000_000).to_bytes(4, "big") + b"\xcd\x01\x00\x00" * 950_000,
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_hostile_header_costs_nothing_before_the_seal_is_looked_at(name: str) -> None:
    forged = join_parts(HEADERS[name], b"", b"another key, of 16 bytes or more")
    for data in (forged, join_parts(HEADERS[name], b"")):
        used = time.thread_time()
        with pytest.raises(SnapshotMismatch, match="key"):
            Sandbox().restore(data, key=KEY)
        # Of the processor: two hashes of 4 MB.
        assert time.thread_time() - used < 1


def test_a_hostile_header_of_an_unsealed_snapshot_is_refused() -> None:
    with pytest.raises(SnapshotCorrupt):
        Sandbox().restore(join_parts(encode([0] * 1_000), b""))
    with pytest.raises(SnapshotCorrupt, match="larger than"):
        Snapshot.from_bytes(b"\x93cloche\n\x02\0\0\0" + (8 << 20).to_bytes(4, "little") + bytes((8 << 20) + 40))
