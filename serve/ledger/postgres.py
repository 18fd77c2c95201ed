"""A ledger that several nodes share: PostgreSQL, with the same tables and changes as the SQLite file of one node."""

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import psycopg

from cloche.serve.ledger.base import PATIENCE, READERS, TABLES, Change, LeaseLost, Node, SqlLedger, StoreFailed

__all__ = ["PostgresLedger"]

T = TypeVar("T")

_TYPES = {" REAL": " DOUBLE PRECISION", " INTEGER": " BIGINT", " BLOB": " BYTEA", " WITHOUT ROWID": ""}
_NODES = """
CREATE TABLE IF NOT EXISTS nodes (
    name TEXT PRIMARY KEY, url TEXT NOT NULL, room BIGINT NOT NULL, until TIMESTAMPTZ NOT NULL
);
CREATE TABLE IF NOT EXISTS shares (
    tenant TEXT NOT NULL, node TEXT NOT NULL, amount BIGINT NOT NULL, PRIMARY KEY (tenant, node)
);
"""
_LOCK = 0x636C6F636865
"""The key of the lock under which tables are made, so that nodes which start together do not do so at once."""
_SETTINGS: dict[str, Any] = {
    "connect_timeout": 3,
    "application_name": "cloche",
    # A server that is gone without a word is noticed before this node's life is over.
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5_000,
    "options": "-c statement_timeout=10000 -c idle_in_transaction_session_timeout=10000",
}


class PostgresLedger(SqlLedger):
    """The tables in the database that a URL names, which are made where they are missing.

    What a commit has written is on the server's disk, as its ``synchronous_commit`` says. Raises StoreFailed.
    """

    is_shared = True

    def __init__(self, url: str) -> None:
        super().__init__()
        self._writer, self._beater = _Connection(url), _Connection(url)
        self._readers: queue.LifoQueue[_Connection] = queue.LifoQueue()
        for _ in range(READERS):
            self._readers.put(_Connection(url))
        tables = TABLES
        for ours, theirs in _TYPES.items():
            tables = tables.replace(ours, theirs)

        def prepare(connection: "psycopg.Connection[Any]") -> None:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                connection.execute(tables.encode() + _NODES.encode())

        self._writer.use(prepare)
        self._thread.start()

    def close(self) -> None:
        """Write what is left. Safe to call twice."""
        super().close()
        while not self._readers.empty():
            self._readers.get().close()
        self._beater.close()

    def end(self) -> None:
        """On the writer's thread: there will be no more."""
        self._writer.close()

    def make(self, orders: list[list[Change]]) -> list[BaseException | None]:
        """On the writer's thread: make the changes of all orders in one transaction, or none."""

        def apply(connection: "psycopg.Connection[Any]") -> None:
            def execute(query: str, values: tuple[Any, ...]) -> int:
                if query.startswith("DELETE FROM states"):
                    # A node that is about to use the state for something else has it locked, and is waited for.
                    connection.execute("SELECT 1 FROM states WHERE id = %s FOR UPDATE", values)
                return connection.execute(_translated(query), values).rowcount

            with connection.transaction():
                self._apply(execute, orders)

        self._writer.use(apply)
        return [None] * len(orders)

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        def fetch(connection: "psycopg.Connection[Any]") -> list[tuple[Any, ...]]:
            return connection.execute(_translated(query), values).fetchall()

        try:
            reader = self._readers.get(timeout=PATIENCE)
        except queue.Empty:
            raise StoreFailed("Busy") from None
        try:
            return reader.ask(fetch)
        finally:
            self._readers.put(reader)

    async def beat(self, node: Node, life: float) -> list[Node]:
        """Say that a node lives, which is believed for so many seconds of the server's clock; return all that do."""

        def beat(connection: "psycopg.Connection[Any]") -> list[Node]:
            with connection.transaction():
                connection.execute(
                    "INSERT INTO nodes VALUES (%s, %s, %s, now() + make_interval(secs => %s)) ON CONFLICT (name) "
                    "DO UPDATE SET url = excluded.url, room = excluded.room, until = excluded.until",
                    (*node, life),
                )
                connection.execute("DELETE FROM nodes WHERE until < now() - interval '1 hour'")
                rows = connection.execute("SELECT name, url, room FROM nodes WHERE until > now()").fetchall()
            return [Node(*row) for row in rows]

        return await asyncio.to_thread(self._beater.ask, beat)

    async def share(self, node: str, tenant: str, wanted: int, limit: int) -> int:
        """Have so many of the runs that a tenant may have at once be this node's, as far as the others leave them."""

        def share(connection: "psycopg.Connection[Any]") -> int:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (_LOCK & 0x7FFFFFFF, tenant))
                living = "SELECT 1 FROM nodes WHERE name = shares.node AND until > now()"
                connection.execute(
                    f"DELETE FROM shares WHERE tenant = %s AND NOT EXISTS ({living})".encode(), (tenant,)
                )
                others = "SELECT coalesce(sum(amount), 0) FROM shares WHERE tenant = %s AND node <> %s"
                ((taken,),) = connection.execute(others.encode(), (tenant, node)).fetchall()
                amount = max(0, min(wanted, limit - int(taken)))
                connection.execute(
                    "INSERT INTO shares VALUES (%s, %s, %s) ON CONFLICT (tenant, node) DO UPDATE SET "
                    "amount = excluded.amount",
                    (tenant, node, amount),
                )
            return amount

        return await asyncio.to_thread(self._beater.ask, share)

    async def leave(self, node: str) -> None:
        """Say that a node has ended."""
        query = "DELETE FROM nodes WHERE name = %s"
        await asyncio.to_thread(self._beater.ask, lambda connection: connection.execute(query, (node,)))


class _Connection:
    """A connection that is made when it is needed, and anew when it was lost. One thread at a time has it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._made: psycopg.Connection[Any] | None = None

    def use(self, work: "Callable[[psycopg.Connection[Any]], T]") -> T:
        """Do something with the connection. Raises StoreFailed, and LeaseLost as the work does."""
        with self._lock:
            try:
                if self._made is None or self._made.closed:
                    self._made = psycopg.connect(self._url, autocommit=True, **_SETTINGS)
                return work(self._made)
            except LeaseLost:
                raise
            except psycopg.Error as error:
                is_gone = self._made is None or self._made.closed
                if is_gone:
                    self._drop()
                raise StoreFailed(type(error).__name__, gone=is_gone) from error

    def ask(self, work: "Callable[[psycopg.Connection[Any]], T]") -> T:
        """Do something that may be done twice: once more on a new connection, if this one was lost meanwhile."""
        try:
            return self.use(work)
        except StoreFailed as failed:
            if not failed.gone:
                raise
        return self.use(work)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._made is not None:
            with suppress(psycopg.Error):
                self._made.close()
            self._made = None


def _translated(query: str) -> bytes:
    return query.replace("?", "%s").encode()
