"""What every ledger does, on SQLite and on a real PostgreSQL: all or nothing, states once, leases with epochs."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.databases import running_redis

from cloche.runtime.errors import ConfigurationError
from cloche.serve.ledger.base import (
    LeaseLost,
    Node,
    ServerLedger,
    SessionLedger,
    SessionRow,
    StoreFailed,
    charge,
    check_lease,
    drop_state,
    put_state,
)


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def open_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], ServerLedger]]:
    """Return what opens a ledger, whose tables are empty at first."""
    made: list[ServerLedger] = []
    if request.param == "sqlite":

        def make() -> ServerLedger:
            return SessionLedger(tmp_path / "store")

    elif request.param == "redis":
        url = request.getfixturevalue("redis_url")
        import redis

        from cloche.serve.ledger.redis import RedisLedger

        with redis.Redis.from_url(url) as client:
            client.flushall()

        def make() -> ServerLedger:
            return RedisLedger(url)

    else:
        url = request.getfixturevalue("postgres")
        import psycopg

        from cloche.serve.ledger.postgres import PostgresLedger

        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

        def make() -> ServerLedger:
            return PostgresLedger(url)

    def opened() -> ServerLedger:
        made.append(make())
        return made[-1]

    yield opened
    for ledger in made:
        ledger.close()


def row(id: str, tenant: str = "north", **more: Any) -> SessionRow:
    now = time.time()
    return SessionRow(id, tenant, now, now, now + 60, "{}", None, 0, None, 0, None)._replace(**more)


def done(work: Awaitable[Any]) -> Any:
    async def main() -> Any:
        return await work

    return asyncio.run(main())


def added(each: SessionRow) -> tuple[str, tuple[Any, ...]]:
    return "add_session", tuple(each)


def test_rows_come_back_as_they_were_written(open_ledger: Callable[[], ServerLedger]) -> None:
    ledger = open_ledger()
    one = row(
        "a", spec='{"x": "é\\u0000"}', waits='{"kind": "paused", "run": "r"}', quarantined=3.5, holder="n", epoch=7
    )
    done(ledger.write([added(one), ("keep_run", ("a", "r1", "d", "done", b"\x00{}", 5.0))]))
    done(
        ledger.write(
            [
                ("keep_run", ("a", "r1", "d", "suspended", b"[]", 6.0)),
                ("add_snapshot", ("s", "north", 1.0, "{}", "x", None)),
            ]
        )
    )
    assert ledger.session("a") == one
    assert ledger.session("b") is None
    assert ledger.run("a", "r1") == ("d", "suspended", b"[]")
    assert ledger.runs("a") == [("r1", "suspended", 6.0)]
    assert ledger.paused() == ["a"]
    assert ledger.snapshot("s") == ("north", 1.0, "{}", "x", None)
    assert [each.id for each in ledger.sessions("north", "", 9)] == ["a"]
    assert [each.id for each in ledger.expired(time.time() + 100)] == ["a"]


def test_an_order_is_made_whole_or_not_at_all(open_ledger: Callable[[], ServerLedger]) -> None:
    ledger = open_ledger()

    async def main() -> list[Any]:
        orders: list[list[Any]] = [
            [added(row("a")), charge("north", "2026-01-01", 5, 0.5, True, False, 0, 1)],
            [added(row("b")), ("add_snapshot", ("of another shape",)), charge("north", "2026-01-01", 1, 1, 1, 1, 1, 1)],
            [added(row("c")), charge("north", "2026-01-01", 7, 0.25, 1, 2, 3, 0)],
        ]
        return await asyncio.gather(*(ledger.write(order) for order in orders), return_exceptions=True)

    assert [type(outcome) for outcome in asyncio.run(main())] == [type(None), StoreFailed, type(None)]
    assert [each.id for each in ledger.sessions("north", "", 9)] == ["a", "c"]
    (day,) = ledger.usage("north")
    assert day == {"day": "2026-01-01", "fuel": 12, "wall": 0.75, "runs": 2, "calls": 2, "output": 3, "creates": 1}


def test_requests_share_commits(open_ledger: Callable[[], ServerLedger]) -> None:
    ledger = open_ledger()

    async def main() -> None:
        await asyncio.gather(*(ledger.write([added(row(f"s{each}"))]) for each in range(100)))

    asyncio.run(main())
    assert ledger.stored("north") == (100, 0)
    assert ledger.commits < 60


def test_a_state_is_kept_as_long_as_it_is_wanted(open_ledger: Callable[[], ServerLedger]) -> None:
    ledger = open_ledger()
    name, put = put_state("north", b"bytes")
    done(ledger.write([put, put, added(row("a", state=name)), added(row("b", state=name))]))
    assert ledger.stored("north") == (2, 5)
    done(ledger.write([("remove_session", ("a",)), *drop_state(name)]))
    assert ledger.state(name) == b"bytes"
    done(ledger.write([("remove_session", ("b",)), *drop_state(name)]))
    assert ledger.state(name) is None


def test_who_lost_a_lease_changes_nothing(open_ledger: Callable[[], ServerLedger]) -> None:
    ledger = open_ledger()
    old = row("a", holder="first", epoch=1)
    done(ledger.write([added(old)]))
    done(ledger.write([check_lease(old), ("renew_session", ("{}", 1.0, "a"))]))
    done(ledger.write([("take_lease", ("second", "a", 1))]))
    name, put = put_state("north", b"late")
    late = [check_lease(old), put, ("keep_run", ("a", "r", "d", "done", b"", 1.0))]
    with pytest.raises(LeaseLost):
        done(ledger.write([*late, ("save_session", (name, 9, None, 1.0, "first", "a"))]))
    with pytest.raises(LeaseLost):
        done(ledger.write([("take_lease", ("third", "a", 1))]))
    now = ledger.session("a")
    assert now is not None
    assert (now.holder, now.epoch, now.state, now.version) == ("second", 2, None, 0)
    assert (ledger.state(name), ledger.run("a", "r")) == (None, None)
    ledger.post([("leave_lease", ("a", 1))])
    done(ledger.write([check_lease(now)]))
    assert ledger.session("a") == now, "a lease that is another's is not left"


def test_of_many_who_want_a_lease_one_has_it(open_ledger: Callable[[], ServerLedger]) -> None:
    ledgers = [open_ledger()]
    if ledgers[0].is_shared:
        ledgers += [open_ledger() for _ in range(3)]
    done(ledgers[0].write([added(row("a"))]))

    async def main() -> list[Any]:
        orders = [ledgers[each % len(ledgers)].write([("take_lease", (f"n{each}", "a", 0))]) for each in range(12)]
        return await asyncio.gather(*orders, return_exceptions=True)

    outcomes = [type(outcome) for outcome in asyncio.run(main())]
    assert outcomes.count(type(None)) == 1
    assert outcomes.count(LeaseLost) == 11


@pytest.mark.parametrize("open_ledger", ["postgres", "redis"], indirect=True)
def test_nodes_that_live(open_ledger: Callable[[], ServerLedger]) -> None:
    ledger = open_ledger()
    try:
        assert done(ledger.beat(Node("a", "http://a", 5), 60.0)) == [Node("a", "http://a", 5)]
        # A node whose life was over when it was written down.
        assert done(ledger.beat(Node("b", "http://b", 5), -1.0)) == [Node("a", "http://a", 5)]
        assert sorted(done(ledger.beat(Node("b", "http://b", 4), 60.0))) == [
            Node("a", "http://a", 5),
            Node("b", "http://b", 4),
        ]
        done(ledger.leave("a"))
        assert done(ledger.beat(Node("b", "http://b", 4), 60.0)) == [Node("b", "http://b", 4)]
    finally:
        ledger.close()


@pytest.mark.parametrize("open_ledger", ["postgres", "redis"], indirect=True)
def test_what_a_tenant_may_have_at_once_is_shared_among_nodes_that_live(
    open_ledger: Callable[[], ServerLedger],
) -> None:
    ledgers = [open_ledger(), open_ledger()]

    async def main() -> None:
        for ledger, name in zip(ledgers, "ab", strict=True):
            await ledger.beat(Node(name, f"http://{name}", 5), 60.0)
        assert await ledgers[0].share("a", "north", 6, 10) == 6
        assert await ledgers[1].share("b", "north", 6, 10) == 4
        assert await ledgers[1].share("b", "south", 6, 10) == 6, "each tenant has its own"
        assert await ledgers[0].share("a", "north", 1, 10) == 1
        assert await ledgers[1].share("b", "north", 99, 10) == 9
        asked = [ledger.share(f"{number}", "east", 3, 10) for number, ledger in enumerate(ledgers * 4)]
        shares = await asyncio.gather(*asked)
        assert shares == [3] * len(shares), "those of nodes that do not live are free again"
        # A node whose life is over has none any more.
        await ledgers[1].beat(Node("b", "http://b", 5), -1.0)
        assert await ledgers[0].share("a", "north", 10, 10) == 10

    asyncio.run(main())


def test_a_database_that_was_away_is_used_again(postgres: str) -> None:
    import psycopg

    from cloche.serve.ledger.postgres import PostgresLedger

    ledger = PostgresLedger(postgres)
    try:
        with psycopg.connect(postgres, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cloche'")
        assert ledger.session("nothing") is None, "a read is made again"
        with pytest.raises(StoreFailed) as failed:
            done(ledger.write([check_lease(row("nothing"))]))
        assert failed.value.gone
        with pytest.raises(LeaseLost):
            done(ledger.write([check_lease(row("nothing"))]))
    finally:
        ledger.close()


def test_a_redis_that_is_away_says_so_and_is_used_again(redis_url: str) -> None:
    import redis

    from cloche.serve.ledger.redis import RedisLedger

    ledger = RedisLedger(redis_url, "away:")
    with pytest.raises(LeaseLost):
        done(ledger.write([check_lease(row("nothing"))]))
    with redis.Redis.from_url(redis_url) as other:
        other.client_kill_filter(_type="normal", skipme=True)
    assert ledger.session("nothing") is None
    with pytest.raises(LeaseLost):
        done(ledger.write([check_lease(row("nothing"))]))
    ledger.close()
    with running_redis(durable=True) as url:
        ledger = RedisLedger(url)
    with pytest.raises(StoreFailed) as failed:
        ledger.session("nothing")
    assert failed.value.gone
    with pytest.raises(StoreFailed) as failed:
        done(ledger.write([check_lease(row("nothing"))]))
    assert failed.value.gone
    ledger.close()


def test_a_redis_that_forgets_is_refused() -> None:
    from cloche.serve.ledger.redis import RedisLedger

    with running_redis() as url, pytest.raises(ConfigurationError, match="appendonly yes, appendfsync always"):
        RedisLedger(url)


def test_a_store_from_before_there_were_leases(tmp_path: Path) -> None:
    import sqlite3

    (tmp_path / "store").mkdir()
    old = sqlite3.connect(tmp_path / "store" / "ledger.db")
    old.execute(
        "CREATE TABLE sessions (id TEXT PRIMARY KEY, tenant TEXT NOT NULL, created REAL NOT NULL, "
        "touched REAL NOT NULL, expires REAL NOT NULL, spec TEXT NOT NULL, state TEXT, version INTEGER NOT NULL, "
        "waits TEXT, "
        "deaths INTEGER NOT NULL, quarantined REAL) WITHOUT ROWID"
    )
    before = row("a")
    old.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", tuple(before)[:11])
    old.commit()
    old.close()
    ledger = SessionLedger(tmp_path / "store")
    assert ledger.session("a") == before
    ledger.close()
