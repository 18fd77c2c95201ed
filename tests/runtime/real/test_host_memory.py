"""What one run takes of the host's memory, in the real guest: each way to fill it ends the run with one typed error."""

import asyncio
from typing import Any

import pytest
from tests.hostile.harness import attack

from cloche import HostMemoryExceeded, Limits, Result, Sandbox, TimeExceeded, tool
from cloche.runtime.threads import guest_threads

MIB = 1 << 20
LIMIT = 64 * MIB


@tool(blocking=False)
def take(value: Any = None) -> int:
    """Take a value."""
    return 0


@tool(blocking=False)
def echo(value: Any) -> Any:
    """Give it back."""
    return value


@tool(suspend=True)
def ask(value: bytes) -> int:
    """Ask a person."""
    raise NotImplementedError


@tool
async def slow(value: bytes) -> int:
    """Take a value, and long."""
    await asyncio.sleep(3600)
    return 0


def sent(body: str, name: str = "take", times: str = "while True") -> str:
    return (
        f"import _cloche\nbody = {body}\n"
        f"frame = b'\\x94\\x00' + bytes([{0xA0 + len(name)}]) + {name.encode()!r} + b'\\x91' + body + b'\\x80'\n"
        f"{times}: _cloche.call(frame)"
    )


DENSE = {
    "lists": "b'\\xdd' + (2_000_000).to_bytes(4, 'big') + b'\\x90' * 2_000_000",
    "negative": "b'\\xdd' + (4_000_000).to_bytes(4, 'big') + b'\\x01\\xe0' * 2_000_000",
    "empty bytes": "b'\\xdd' + (2_000_000).to_bytes(4, 'big') + b'\\xc4\\x00' * 2_000_000",
    "dicts": "b'\\xdd' + (1_000_000).to_bytes(4, 'big') + b'\\x80' * 1_000_000",
    "tuples": "b'\\xdd' + (900_000).to_bytes(4, 'big') + b'\\x91\\xc7\\x00\\x20' * 900_000",
}


@pytest.mark.parametrize("body", DENSE.values(), ids=DENSE)
def test_a_message_that_decodes_to_too_much_ends_the_run(body: str) -> None:
    with Sandbox(tools=[take]).session() as session:
        session.run("kept = 1")
        attacked = attack(session, sent(body))
        error = attacked.result.error
        assert isinstance(error, HostMemoryExceeded), repr(error)
        assert error.limit == LIMIT < error.used
        assert attacked.result.rolled_back
        assert attacked.result.calls == []
        assert session.run("kept").unwrap() == 1
    attacked.check_memory(2 * LIMIT + attacked.result.usage.memory_peak)


def test_a_value_that_decodes_to_too_much_ends_the_run() -> None:
    error = Sandbox(limits=Limits(time=120)).run("[[] for _ in range(1_500_000)]").error
    assert isinstance(error, HostMemoryExceeded), repr(error)
    assert Sandbox(limits=Limits(host_memory="256 MiB", time=120)).run("[[] for _ in range(1_500_000)]").ok


@pytest.mark.parametrize("name", ["take", "nobody", "echo"])
def test_records_of_calls_that_are_over_give_way(name: str) -> None:
    program = sent("b'\\xc6' + (1 << 20).to_bytes(4, 'big') + b'z' * (1 << 20)", name, "for _ in range(300)")
    attacked = attack(Sandbox(tools=[take, echo], limits=Limits(time=60)), program)
    result = attacked.result
    assert result.ok, repr(result.error)
    assert len(result.calls) == 300
    kept = [record for record in result.calls if not record.trimmed]
    assert 10 <= len(kept) <= 64
    assert kept[-1] is result.calls[-1]
    assert result.calls[0].args == []
    assert {record.outcome for record in result.calls} == {"raised" if name == "nobody" else "returned"}
    attacked.check_memory(2 * LIMIT + result.usage.memory_peak)


def test_background_calls_that_are_not_awaited_are_counted() -> None:
    program = """
import asyncio
data = b"z" * (4_000_000)
tasks = [asyncio.ensure_future(slow(data)) for _ in range(60)]
await asyncio.sleep(0)
await asyncio.sleep(0)
"""
    attacked = attack(Sandbox(tools=[slow]), program)
    assert isinstance(attacked.result.error, HostMemoryExceeded)
    assert 4 <= len(attacked.result.calls) <= 17
    attacked.check_memory(2 * LIMIT + attacked.result.usage.memory_peak)


def test_waiting_calls_are_counted_here_and_where_they_are_restored() -> None:
    program = """
import asyncio
data = b"z" * 2_000_000
await asyncio.gather(*[asyncio.to_thread(ask, data) for _ in range({})])
"""
    box = Sandbox(tools=[ask])
    with box.session() as session:
        result = session.start(program.format(50))
        assert isinstance(result, Result)
        assert isinstance(result.error, HostMemoryExceeded)
        assert not isinstance(session.start(program.format(3)), Result)
        snapshot = session.snapshot()
    with box.restore(snapshot) as restored:
        assert restored.suspended is not None
        resumed = restored.suspended.resume({1: 1, 2: 2, 3: 3})
        assert isinstance(resumed, Result)
        assert resumed.value == [1, 2, 3]


def test_names_are_bounded_at_once() -> None:
    program = """
import _cloche
name = b"n" * 4_000_000
frame = b"\\x94\\x00\\xdb" + len(name).to_bytes(4, "big") + name + b"\\x90\\x80"
for _ in range(100): _cloche.call(frame)
"""
    attacked = attack(Sandbox(tools=[take], limits=Limits(time=60)), program)
    assert attacked.result.ok, repr(attacked.result.error)
    assert all(len(record.name) < 300 for record in attacked.result.calls)
    attacked.check_memory(LIMIT + attacked.result.usage.memory_peak)


def test_checks_of_arguments_end_with_the_run() -> None:
    @tool(blocking=False)
    def rows(value: list[list[int]]) -> int:
        """Take rows."""
        return len(value)

    # Decoded it takes 30 MiB, and the checked copy more than that: each call fits, and the loop has no end.
    program = sent("b'\\xdd' + (400_000).to_bytes(4, 'big') + b'\\x90' * 400_000", "rows")
    attacked = attack(Sandbox(tools=[rows], limits=Limits(time=0.5, fuel=None, host_memory=2 * LIMIT)), program)
    assert isinstance(attacked.result.error, TimeExceeded), repr(attacked.result.error)
    attacked.check_end(0.5)
    attacked.check_memory(4 * LIMIT + attacked.result.usage.memory_peak)


def test_records_give_way_to_the_checks_of_arguments() -> None:
    @tool(blocking=False)
    def rows(value: list[list[int]]) -> int:
        """Take rows."""
        return len(value)

    with Sandbox(tools=[rows], limits=Limits(time=120)).session() as session:
        result = session.run("value = [[1, 2, 3]] * 10_000\nsum(rows(value) for _ in range(150))")
    assert result.unwrap() == 1_500_000
    assert result.calls[0].trimmed
    assert not result.calls[-1].trimmed


def test_an_awaited_run_gives_its_thread_back() -> None:
    async def main() -> Result[Any]:
        async with Sandbox(tools=[take], limits=Limits(time=1.5)).session() as session:
            result = await session.arun(sent(DENSE["negative"]))
            assert (await session.arun("1")).value == 1
            return result

    assert isinstance(asyncio.run(main()).error, HostMemoryExceeded)
    assert guest_threads.abandoned == 0
