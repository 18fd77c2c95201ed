"""Worker processes as the gateway sees them end."""

import asyncio
import os
from typing import Any

import pytest

from cloche.serve import placement
from cloche.serve.placement import Placement, SessionWorker, WorkerLost


def test_the_end_of_a_worker_stops_nothing_else() -> None:
    """Its process may take long to end, and is waited for elsewhere than on the event loop."""
    turns = lost_at = 0

    async def main() -> None:
        nonlocal turns, lost_at

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.001)

        def on_lost(worker: SessionWorker) -> None:
            nonlocal lost_at
            lost_at = turns

        worker = SessionWorker("w", 1, on_lost, "tests.serve.unit.lingering")
        await worker.start()
        await worker.ready
        counting = asyncio.create_task(count())
        with pytest.raises(WorkerLost) as lost:
            await worker.call("ping")
        counting.cancel()
        assert not lost.value.was_killed, "it was by the gateway, which did not wait for it for ever"
        assert not worker.alive
        await asyncio.to_thread(worker.reap)
        with pytest.raises(ProcessLookupError):
            os.kill(worker.pid, 0)

    asyncio.run(main())
    assert turns - lost_at > 20


def test_a_worker_that_is_closed_is_not_waited_for_by_others() -> None:
    turns = 0

    async def main() -> int:
        nonlocal turns

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.001)

        worker = SessionWorker("w", 1, lambda _: None, "tests.serve.unit.lingering")
        await worker.start()
        await worker.ready
        counting = asyncio.create_task(count())
        before = turns
        asyncio.get_running_loop().call_later(0.5, worker.kill)
        await worker.close()
        counting.cancel()
        return turns - before

    assert asyncio.run(main()) > 20


class Pinged:
    """A worker as far as it is looked after; it answers if it is told to, as soon as it is asked."""

    def __init__(self, answers: bool) -> None:
        self.answers, self.unanswered, self.memory, self.full = answers, 0, 0, False
        self.pings = 0
        self.killed = asyncio.Event()

    def measure(self) -> int:
        return 0

    async def call(self, order: str) -> None:
        self.pings += 1
        if not self.answers:
            await asyncio.Event().wait()

    def kill(self) -> None:
        self.killed.set()


def test_a_worker_that_does_not_answer_is_ended_and_one_that_does_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "_PING", 0.0)

    async def main() -> None:
        workers: Any = Placement(2, max_live=1, max_memory=1, on_lost=lambda _: None)
        silent, good = Pinged(False), Pinged(True)
        workers.workers = [silent, good]
        watching = asyncio.create_task(workers._watch())  # pyright: ignore[reportPrivateUsage]
        await silent.killed.wait()
        watching.cancel()
        assert silent.pings == placement._PATIENCE  # pyright: ignore[reportPrivateUsage]
        assert not good.killed.is_set()

    asyncio.run(main())
