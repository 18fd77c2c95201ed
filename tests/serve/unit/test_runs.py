"""What those who follow a run are told: every event once and in order, and a crowd the same pieces."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from cloche.serve.runs import ServedRun


def number_of(piece: bytes) -> list[int]:
    return [int(line[4:]) for line in piece.splitlines() if line.startswith(b"id: ")]


async def collected(stream: AsyncGenerator[bytes]) -> list[bytes]:
    return [piece async for piece in stream]


async def happen(run: ServedRun, count: int) -> None:
    """Have so many events, each in a turn of the loop of its own, and the end."""
    for number in range(count):
        run.event("output", b'{"n":%d}' % number)
        await asyncio.sleep(0)
    run.end("done", b"{}")


def test_one_who_follows_is_told_each_event_at_once() -> None:
    async def follow() -> list[bytes]:
        run = ServedRun("r", "")
        following = asyncio.create_task(collected(run.stream(0)))
        await asyncio.sleep(0)
        await happen(run, 50)
        return await following

    pieces = asyncio.run(follow())
    assert [number for piece in pieces for number in number_of(piece)] == list(range(1, 52))
    assert len(pieces) > 25


def test_a_crowd_is_told_the_same_bytes_in_few_pieces() -> None:
    async def follow() -> list[list[bytes]]:
        run = ServedRun("r", "")
        crowd = [asyncio.create_task(collected(run.stream(0))) for _ in range(20)]
        late = asyncio.create_task(collected(run.stream(30)))
        await asyncio.sleep(0)
        await happen(run, 50)
        return [await each for each in (*crowd, late)]

    *crowd, late = asyncio.run(follow())
    for pieces in crowd:
        assert [number for piece in pieces for number in number_of(piece)] == list(range(1, 52))
        assert len(pieces) < 10
        # Made once, for all of them.
        assert all(mine is first for mine, first in zip(pieces, crowd[0], strict=True))
    assert [number for piece in late for number in number_of(piece)] == list(range(31, 52))


def test_a_call_for_the_client_is_told_at_once_in_a_crowd_too() -> None:
    async def follow() -> list[bool]:
        run = ServedRun("r", "")
        crowd = [aiter(run.stream(0)) for _ in range(20)]
        asked = [asyncio.ensure_future(anext(each)) for each in crowd]
        await asyncio.sleep(0)
        run.event("call", b'{"id":"c1"}')
        for _ in range(5):
            await asyncio.sleep(0)
        return [each.done() for each in asked]

    assert all(asyncio.run(follow()))


def test_what_is_long_comes_in_pieces_and_what_is_gone_is_said() -> None:
    async def follow() -> list[bytes]:
        run = ServedRun("r", "", first_event=7)
        for _ in range(10):
            run.event("output", bytes(100_000))
        run.end("done", b"{}")
        return await collected(run.stream(3))

    pieces = asyncio.run(follow())
    assert (pieces[0], number_of(pieces[0])) == (b"id: 7\nevent: gap\ndata: {}\n\n", [7])
    assert [number for piece in pieces[1:] for number in number_of(piece)] == list(range(8, 19))
    assert max(map(len, pieces)) < 500_000


def test_where_nothing_comes_the_line_is_kept_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloche.serve.runs._BEAT", 0.001)

    async def follow() -> tuple[bytes, tuple[int, str, bytes] | None]:
        run = ServedRun("r", "")
        return await anext(run.stream(0)), await anext(run.follow(0))

    assert asyncio.run(follow()) == (b": waiting\n\n", None)
