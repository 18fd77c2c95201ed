"""What survives: sessions, the outcomes of their runs, snapshots and usage, in one SQLite file with one writer.

All changes of one request are one transaction, and the requests that wait at the same time share one commit. A state is
kept under the hash of its bytes, so that forks and snapshots of one state are stored once.
"""

import asyncio
import contextlib
import hashlib
import queue
import sqlite3
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from cloche.runtime.errors import ConfigurationError, SnapshotBusy
from cloche.runtime.snapshots.stores.base import locked

__all__ = ["SessionLedger", "SessionRow", "Statement", "drop_state", "put_state"]

Statement = tuple[str, tuple[Any, ...]]

_TABLES = """
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, created REAL NOT NULL, touched REAL NOT NULL, expires REAL NOT NULL,
    spec TEXT NOT NULL, state TEXT, version INTEGER NOT NULL, waits TEXT, deaths INTEGER NOT NULL, quarantined REAL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_tenant ON sessions (tenant, id);
CREATE INDEX IF NOT EXISTS sessions_expires ON sessions (expires);
CREATE INDEX IF NOT EXISTS sessions_state ON sessions (state);
CREATE TABLE IF NOT EXISTS runs (
    session TEXT NOT NULL, id TEXT NOT NULL, digest TEXT NOT NULL, status TEXT NOT NULL, body BLOB, made REAL NOT NULL,
    PRIMARY KEY (session, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS snapshots (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, made REAL NOT NULL, spec TEXT NOT NULL, state TEXT NOT NULL, waits TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS snapshots_tenant ON snapshots (tenant, id);
CREATE INDEX IF NOT EXISTS snapshots_state ON snapshots (state);
CREATE TABLE IF NOT EXISTS states (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, size INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS states_tenant ON states (tenant, size);
CREATE TABLE IF NOT EXISTS usage (
    tenant TEXT NOT NULL, day TEXT NOT NULL, fuel INTEGER NOT NULL, wall REAL NOT NULL, runs INTEGER NOT NULL,
    calls INTEGER NOT NULL, output INTEGER NOT NULL, creates INTEGER NOT NULL, PRIMARY KEY (tenant, day)
) WITHOUT ROWID;
"""
_DROP_STATE = """
DELETE FROM states WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM sessions WHERE state = ?1)
AND NOT EXISTS (SELECT 1 FROM snapshots WHERE state = ?1)
"""
_BATCH = 256


class SessionRow(NamedTuple):
    """A session as it is kept. ``waits`` is JSON about its suspended program, ``state`` the hash of its bytes."""

    id: str
    tenant: str
    created: float
    touched: float
    expires: float
    spec: str
    state: str | None
    version: int
    waits: str | None
    deaths: int
    quarantined: float | None


def put_state(tenant: str, data: bytes) -> tuple[str, Statement]:
    """Return the name of a state, and what keeps it."""
    name = hashlib.sha256(tenant.encode() + b"\0" + data).hexdigest()
    return name, ("INSERT OR IGNORE INTO states VALUES (?, ?, ?, ?)", (name, tenant, len(data), data))


def drop_state(name: str | None) -> list[Statement]:
    """Return what forgets a state, unless a session or a snapshot still has it."""
    return [] if name is None else [(_DROP_STATE, (name,))]


class SessionLedger:
    """The SQLite file ``ledger.db`` in a folder, which one server at a time uses.

    Reads are for the event loop's thread; :meth:`write` hands statements to the writer's thread and returns once they
    are on the disk. Raises ConfigurationError where another server uses the folder, or sqlite3.Error.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / "ledger.db"
        self._stack = contextlib.ExitStack()
        try:
            self._stack.enter_context(locked(folder / "ledger.lock", str(folder)))
        except SnapshotBusy as error:
            raise ConfigurationError("store", f"{folder} is in use by process {error.holder}") from None
        if not self.path.exists():
            # Before SQLite makes it, which would let everybody read it.
            self.path.touch(mode=0o600)
        self._reader = self._connect()
        self._reader.executescript(_TABLES)
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, name="ledger", daemon=True)
        self._thread.start()
        self.commits = 0
        """Transactions so far; for the tests, which count that requests share them."""

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        # FULL: the log is on the disk when a commit returns.
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 30000", "cache_size = -16000"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    async def write(self, statements: Iterable[Statement]) -> None:
        """Make these changes, all or none, and return when they cannot be lost any more. Raises sqlite3.Error."""
        order = _Order(list(statements), asyncio.get_running_loop())
        self._orders.put(order)
        await order.done

    def post(self, statements: Iterable[Statement]) -> None:
        """Make these changes soon; what is written later is written after them."""
        self._orders.put(_Order(list(statements), None))

    def close(self) -> None:
        """Write what is left, and let others use the folder. Safe to call twice."""
        self._orders.put(None)
        self._thread.join()
        self._reader.close()
        self._stack.close()

    # The writer's thread.

    def _write_all(self) -> None:
        connection = self._connect()
        try:
            ending = False
            while not ending:
                orders = [self._orders.get()]
                with contextlib.suppress(queue.Empty):
                    while len(orders) < _BATCH:
                        orders.append(self._orders.get_nowait())
                ending = None in orders
                self._commit(connection, [order for order in orders if order is not None])
        finally:
            connection.close()

    def _commit(self, connection: sqlite3.Connection, orders: "list[_Order]") -> None:
        if not orders:
            return
        error: BaseException | None = None
        connection.execute("BEGIN IMMEDIATE")
        try:
            for order in orders:
                for statement, values in order.statements:
                    connection.execute(statement, values)
            connection.execute("COMMIT")
            self.commits += 1
        except BaseException as problem:
            connection.execute("ROLLBACK")
            error = problem
        if error is not None and len(orders) > 1:
            # One of them is at fault, and the others are not to suffer for it.
            for order in orders:
                self._commit(connection, [order])
            return
        for order in orders:
            order.settle(error)

    # Reads.

    def session(self, id: str) -> SessionRow | None:
        """Return a session's row."""
        row = self._reader.execute("SELECT * FROM sessions WHERE id = ?", (id,)).fetchone()
        return None if row is None else SessionRow(*row)

    def sessions(self, tenant: str, after: str, limit: int) -> list[SessionRow]:
        """Return a tenant's sessions by id, those after one."""
        rows = self._reader.execute(
            "SELECT * FROM sessions WHERE tenant = ? AND id > ? AND expires > ? ORDER BY id LIMIT ?",
            (tenant, after, time.time(), limit),
        )
        return [SessionRow(*row) for row in rows]

    def expired(self, now: float, limit: int = 100) -> list[SessionRow]:
        """Return sessions whose life is over."""
        rows = self._reader.execute("SELECT * FROM sessions WHERE expires < ? LIMIT ?", (now, limit))
        return [SessionRow(*row) for row in rows]

    def paused(self) -> list[str]:
        """Return the sessions whose programs were computing when the server ended."""
        rows = self._reader.execute('SELECT id FROM sessions WHERE waits LIKE \'{"kind": "paused"%\'')
        return [row[0] for row in rows]

    def state(self, name: str) -> bytes | None:
        """Return a state's bytes."""
        row = self._reader.execute("SELECT data FROM states WHERE id = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def run(self, session: str, id: str) -> tuple[str, str, bytes | None] | None:
        """Return a run's digest, status and body."""
        row = self._reader.execute(
            "SELECT digest, status, body FROM runs WHERE session = ? AND id = ?", (session, id)
        ).fetchone()
        return None if row is None else (row[0], row[1], row[2])

    def runs(self, session: str, limit: int = 1000) -> list[tuple[str, str, float]]:
        """Return id, status and time of a session's runs, the newest first."""
        rows = self._reader.execute(
            "SELECT id, status, made FROM runs WHERE session = ? ORDER BY made DESC LIMIT ?", (session, limit)
        )
        return [(row[0], row[1], row[2]) for row in rows]

    def snapshot(self, id: str) -> tuple[str, float, str, str, str | None] | None:
        """Return a snapshot's tenant, time, spec, state and suspended program."""
        row = self._reader.execute(
            "SELECT tenant, made, spec, state, waits FROM snapshots WHERE id = ?", (id,)
        ).fetchone()
        return None if row is None else (row[0], row[1], row[2], row[3], row[4])

    def snapshots(self, tenant: str, after: str, limit: int) -> list[tuple[str, float, int]]:
        """Return id, time and size of a tenant's snapshots, those after one."""
        rows = self._reader.execute(
            "SELECT snapshots.id, made, size FROM snapshots JOIN states ON states.id = snapshots.state "
            "WHERE snapshots.tenant = ? AND snapshots.id > ? ORDER BY snapshots.id LIMIT ?",
            (tenant, after, limit),
        )
        return [(row[0], row[1], row[2]) for row in rows]

    def stored(self, tenant: str) -> tuple[int, int]:
        """Return how many sessions a tenant has here, and how many bytes its states take."""
        (count,) = self._reader.execute("SELECT count(*) FROM sessions WHERE tenant = ?", (tenant,)).fetchone()
        (size,) = self._reader.execute(
            "SELECT coalesce(sum(size), 0) FROM states WHERE tenant = ?", (tenant,)
        ).fetchone()
        return count, size

    def usage(self, tenant: str, days: int = 31) -> list[dict[str, Any]]:
        """Return what a tenant has used, by day in UTC, the newest first."""
        cursor = self._reader.execute(
            "SELECT day, fuel, wall, runs, calls, output, creates FROM usage WHERE tenant = ? "
            "ORDER BY day DESC LIMIT ?",
            (tenant, days),
        )
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


class _Order:
    """Statements for one transaction, and who waits for them."""

    __slots__ = ("done", "loop", "statements")

    def __init__(self, statements: list[Statement], loop: asyncio.AbstractEventLoop | None) -> None:
        self.statements, self.loop = statements, loop
        if loop is not None:
            self.done: asyncio.Future[None] = loop.create_future()

    def settle(self, error: BaseException | None) -> None:
        """Wake whoever waits."""
        if self.loop is not None:
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._wake, error)

    def _wake(self, error: BaseException | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)
