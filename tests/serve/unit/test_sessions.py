"""One session is one object, whoever asks for it while it is read or parked; with workers that are none."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cloche.serve.ledger.base import SessionLedger, SessionRow
from cloche.serve.runs import ServedSession
from cloche.serve.sessions import Residence
from cloche.serve.tenants import ServerConfig, Tenant, hash_key


class FakeWorker:
    """Holds a session, and closes it when it is let."""

    alive = True

    def __init__(self) -> None:
        self.sessions: set[str] = set()
        self.orders: list[str] = []
        self.closing, self.may_close = asyncio.Event(), asyncio.Event()

    async def call(self, order: str, **arguments: Any) -> Any:
        self.orders.append(order)
        if order == "close":
            self.closing.set()
            await self.may_close.wait()


def in_residence(folder: Path, work: Callable[[Residence, Tenant], Awaitable[None]]) -> None:
    async def main() -> None:
        config = ServerConfig.model_validate({"tenants": {"north": {"keys": [hash_key("k")]}}})
        ledger = SessionLedger(folder)
        home = Residence(config, b"s" * 32, ledger, lambda _: None)
        tenant = home.tenants.named("north")
        assert tenant is not None
        try:
            await work(home, tenant)
        finally:
            ledger.close()

    asyncio.run(main())


async def created(home: Residence, tenant: Tenant) -> ServedSession:
    return await home.create(tenant, {"durable": "run"})


def test_requests_that_come_at_once_share_one_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(home: Residence, tenant: Tenant) -> None:
        id = (await created(home, tenant)).id
        home._sessions.clear()  # pyright: ignore[reportPrivateUsage]
        reads: list[str] = []
        session_of = home.ledger.session

        def read(id: str) -> SessionRow | None:
            reads.append(id)
            return session_of(id)

        monkeypatch.setattr(home.ledger, "session", read)
        found = await asyncio.gather(*(home.find(tenant, id) for _ in range(8)))
        assert all(each is found[0] for each in found)
        assert reads == [id]

    in_residence(tmp_path, work)


def test_a_session_that_is_asked_for_while_it_is_parked_stays_the_same(tmp_path: Path) -> None:
    async def work(home: Residence, tenant: Tenant) -> None:
        session = await created(home, tenant)
        worker: Any = FakeWorker()
        session.worker = worker
        tenant.live += 1
        parking = asyncio.create_task(home.park(session))
        await worker.closing.wait()
        assert not home.holds(session)
        found = await home.find(tenant, session.id)
        # As a request does that uses it: it waits for the lock, and has it brought back.
        found.busy = True
        worker.may_close.set()
        await parking
        assert await home.find(tenant, session.id) is found is session
        found.busy = False
        await home.park(session)
        assert await home.find(tenant, session.id) is not session, "one that no one uses is forgotten"

    in_residence(tmp_path, work)


def test_a_session_that_is_nowhere_stored_ends_where_it_is_parked(tmp_path: Path) -> None:
    async def work(home: Residence, tenant: Tenant) -> None:
        session = await home.create(tenant, {"durable": "never"})
        worker: Any = FakeWorker()
        session.worker = worker
        parking = asyncio.create_task(home.park(session))
        await worker.closing.wait()
        assert session.ended, "what is asked of it from now on is asked in vain"
        worker.may_close.set()
        await parking
        assert not home.holds(session)

    in_residence(tmp_path, work)
