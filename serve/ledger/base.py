"""What survives: sessions, the outcomes of their runs, snapshots and usage, and which node has a session.

All changes of one request are one transaction, and the requests that wait at the same time share one commit. A state is
kept under the hash of its bytes, so that forks and snapshots of one state are stored once. Changes are data, a name and
values, so that several kinds of stores can make them: one SQLite file for one node, or one that several nodes share
(:mod:`cloche.serve.ledger.postgres`).

A node that has a session in a worker holds its lease: its name stands in the row, with an epoch that grows with each
new holder. What a node writes about a session begins with :func:`check_lease`, so that one whose lease was taken over,
as it was thought dead, changes nothing any more.
"""

import asyncio
import contextlib
import hashlib
import queue
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from cloche.runtime.errors import ConfigurationError, SnapshotBusy
from cloche.runtime.snapshots.stores.base import locked

__all__ = [
    "PATIENCE",
    "READERS",
    "TABLES",
    "Change",
    "LeaseLost",
    "Node",
    "ServerLedger",
    "SessionLedger",
    "SessionRow",
    "SqlLedger",
    "StatePlace",
    "StoreFailed",
    "charge",
    "check_lease",
    "drop_state",
    "put_state",
]

Change = tuple[str, tuple[Any, ...]]
"""The name of a change, one of those below, and its values."""

TABLES = """
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, created REAL NOT NULL, touched REAL NOT NULL, expires REAL NOT NULL,
    spec TEXT NOT NULL, state TEXT, version INTEGER NOT NULL, waits TEXT, deaths INTEGER NOT NULL, quarantined REAL,
    holder TEXT, epoch INTEGER NOT NULL DEFAULT 0
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
_SQL: dict[str, str] = {
    "add_session": "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "save_session": "UPDATE sessions SET state = ?, version = ?, waits = ?, deaths = 0, touched = ?, holder = ? "
    "WHERE id = ?",
    "renew_session": "UPDATE sessions SET spec = ?, expires = ? WHERE id = ?",
    "count_deaths": "UPDATE sessions SET deaths = ?, quarantined = ? WHERE id = ?",
    "remove_session": "DELETE FROM sessions WHERE id = ?",
    "remove_runs": "DELETE FROM runs WHERE session = ?",
    "keep_run": "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (session, id) DO UPDATE SET "
    "digest = excluded.digest, status = excluded.status, body = excluded.body, made = excluded.made",
    "put_state": "INSERT INTO states VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET size = excluded.size",
    "drop_state": "DELETE FROM states WHERE id = ? AND NOT EXISTS (SELECT 1 FROM sessions WHERE state = states.id) "
    "AND NOT EXISTS (SELECT 1 FROM snapshots WHERE state = states.id)",
    "add_snapshot": "INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?)",
    "remove_snapshot": "DELETE FROM snapshots WHERE id = ?",
    "charge": "INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, day) DO UPDATE SET "
    "fuel = usage.fuel + excluded.fuel, wall = usage.wall + excluded.wall, runs = usage.runs + excluded.runs, "
    "calls = usage.calls + excluded.calls, output = usage.output + excluded.output, "
    "creates = usage.creates + excluded.creates",
    "check_lease": "UPDATE sessions SET epoch = epoch WHERE id = ? AND epoch = ?",
    "take_lease": "UPDATE sessions SET holder = ?, epoch = epoch + 1 WHERE id = ? AND epoch = ?",
    "leave_lease": "UPDATE sessions SET holder = NULL WHERE id = ? AND epoch = ?",
}
"""The changes, as SQLite and PostgreSQL make them."""
_BATCH = 256
_SOON = 0.02
"""Seconds that changes wait which no one waits for, so that those of many requests are one transaction."""
READERS = 4
"""Threads that read, and connections that they read by."""
PATIENCE = 30.0
"""Seconds that a reader waits for a connection."""

T = TypeVar("T")


class LeaseLost(Exception):
    """Another node has the session now, or it was deleted: nothing of the request was changed."""


class StoreFailed(Exception):
    """The store failed. With ``gone`` it could not be reached, so that whether a change was made may not be known."""

    def __init__(self, kind: str, gone: bool = False) -> None:
        super().__init__(kind)
        self.kind, self.gone = kind, gone


class Node(NamedTuple):
    """A node that lives: its name, where the others reach it, and how many more sessions it can hold."""

    name: str
    url: str
    room: int


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
    holder: str | None = None
    epoch: int = 0


def put_state(tenant: str, data: bytes) -> tuple[str, Change]:
    """Return the name of a state, and what keeps it."""
    name = hashlib.sha256(tenant.encode() + b"\0" + data).hexdigest()
    return name, ("put_state", (name, tenant, len(data), data))


def drop_state(name: str | None) -> list[Change]:
    """Return what forgets a state, unless a session or a snapshot still has it."""
    return [] if name is None else [("drop_state", (name,))]


def check_lease(row: SessionRow) -> Change:
    """Return what refuses all changes of its transaction if another node has taken the session over."""
    return "check_lease", (row.id, row.epoch)


def charge(tenant: str, day: str, *used: float) -> Change:
    """Return what adds to a tenant's usage of a day: fuel, wall, runs, calls, output, creates."""
    return "charge", (tenant, day, *used)


class StatePlace(Protocol):
    """A place for the bytes of states outside of the ledger; :class:`cloche.serve.ledger.states.StateFiles` is one."""

    def unique(self, name: str) -> str:
        """Return a name that no state had before."""
        ...

    async def keep(self, changes: Iterable[Change]) -> tuple[list[Change], list[str]]:
        """Keep the states among changes; return these without the bytes, and the states' names."""
        ...

    def remove(self, names: Iterable[str], is_kept: Callable[[str], bool] | None = None) -> None:
        """Forget states soon, but those that ``is_kept``."""
        ...

    def get(self, name: str) -> bytes | None:
        """Return a state's bytes."""
        ...

    def sweep(self, is_kept: Callable[[str], bool]) -> int:
        """Forget old states that are not kept."""
        ...

    def close(self) -> None:
        """Finish what was begun."""
        ...


class ServerLedger(ABC):
    """What the gateway keeps, and reads back.

    Reads block until the disk or the network has answered: on an event loop they are asked by :meth:`read`, which
    does so on a thread. :meth:`write` hands changes to the writer's thread and returns once they cannot be lost any
    more. All raise StoreFailed, :meth:`write` LeaseLost as well.
    """

    is_shared = False
    """Whether other nodes use it at the same time."""

    def __init__(self) -> None:
        self.commits = 0
        """Transactions so far; for the tests, which count that requests share them."""
        self.files: StatePlace | None = None
        """Where the states' bytes are, if not in the ledger."""
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, name="ledger", daemon=True)
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="ledger-reads")

    async def read(self, query: Callable[..., T], *values: Any) -> T:
        """Ask one of the questions below on a thread, so that the event loop waits for no disk and no network."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, query, *values)

    async def write(self, changes: Iterable[Change]) -> None:
        """Make these changes, all or none, and return when they cannot be lost any more."""
        changes, written = list(changes), list[str]()
        if self.files is not None:
            changes, written = await self.files.keep(changes)
        order = _Order(changes, asyncio.get_running_loop())
        self._orders.put(order)
        try:
            await order.done
        except (LeaseLost, StoreFailed):
            if self.files is not None:
                # Where it is not known whether this was written, the ledger is asked.
                self.files.remove(written, self.has_state)
            raise

    def post(self, changes: Iterable[Change]) -> None:
        """Make these changes soon; what is written later is written after them. No new state is among them."""
        self._orders.put(_Order(list(changes), None))

    def put_state(self, tenant: str, data: bytes) -> tuple[str, Change]:
        """Return the name of a state, and what keeps it: the same for the same bytes, if these are in the ledger."""
        name, change = put_state(tenant, data)
        if self.files is None:
            return name, change
        name = self.files.unique(name)
        return name, (change[0], (name, *change[1][1:]))

    def state_bytes(self, name: str) -> bytes | None:
        """Return a state's bytes, wherever they are. Blocks, like :meth:`state`."""
        data = self.state(name)
        return data or None if data or self.files is None else self.files.get(name)

    async def sweep(self) -> None:
        """Remove the files that servers have left behind which died while they wrote a state or removed one."""
        if self.files is not None:
            with contextlib.suppress(StoreFailed):
                await asyncio.to_thread(self.files.sweep, self.has_state)

    def close(self) -> None:
        """Write what is left, and let others use it. Safe to call twice."""
        self._threads.shutdown()
        self._orders.put(None)
        self._thread.join()
        if self.files is not None:
            self.files.close()

    async def beat(self, node: Node, life: float) -> list[Node]:
        """Say that a node lives, which is believed for so many seconds; return all that do. Only where it is shared."""
        return [node]

    async def leave(self, node: str) -> None:
        """Say that a node has ended."""
        return

    async def share(self, node: str, tenant: str, wanted: int, limit: int) -> int:
        """Have so many of a tenant's runs at once be this node's, as far as the others leave them; return how many."""
        return min(wanted, limit)

    # The writer's thread.

    @abstractmethod
    def make(self, orders: list[list[Change]]) -> list[BaseException | None]:
        """On the writer's thread: make the changes of all orders in one transaction, or raise and make none.

        A ledger that can have some orders made and others refused returns what became of each.
        """

    def end(self) -> None:
        """On the writer's thread: there will be no more."""
        return

    def _write_all(self) -> None:
        try:
            ending = False
            while not ending:
                orders = self._waiting()
                ending = None in orders
                self._commit([order for order in orders if order is not None])
        finally:
            self.end()

    def _waiting(self) -> "list[_Order | None]":
        """Return what is to be written next. Changes that no one waits for wait a moment for others."""
        orders = [self._orders.get()]
        until = time.monotonic() + _SOON
        with contextlib.suppress(queue.Empty):
            while len(orders) < _BATCH:
                if orders[-1] is None or orders[-1].is_awaited:
                    until = 0.0
                left = until - time.monotonic() if until else 0.0
                orders.append(self._orders.get(timeout=left) if left > 0 else self._orders.get_nowait())
        return orders

    def _commit(self, orders: "list[_Order]") -> None:
        if not orders:
            return
        try:
            outcomes = self.make([order.changes for order in orders])
            self.commits += 1
        except BaseException as problem:
            is_gone = isinstance(problem, StoreFailed) and problem.gone
            if len(orders) > 1 and not is_gone:
                # One of them is at fault, and the others are not to suffer for it.
                for order in orders:
                    self._commit([order])
                return
            outcomes = [problem] * len(orders)
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Order, BaseException | None]]] = {}
        for order, outcome in zip(orders, outcomes, strict=True):
            dropped = [values[0] for name, values in order.changes if name == "drop_state"]
            if self.files is not None and outcome is None and dropped:
                self.files.remove(dropped, self.has_state)
            if order.loop is not None:
                by_loop.setdefault(order.loop, []).append((order, outcome))
        for loop, settled in by_loop.items():
            # To wake a loop takes a system call. One that was closed meanwhile refuses: nothing waits there any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, settled)

    # Reads.

    @abstractmethod
    def session(self, id: str) -> SessionRow | None:
        """Return a session's row."""

    @abstractmethod
    def sessions(self, tenant: str, after: str, limit: int) -> list[SessionRow]:
        """Return a tenant's sessions by id, those after one."""

    @abstractmethod
    def expired(self, now: float, limit: int = 100) -> list[SessionRow]:
        """Return sessions whose life is over."""

    @abstractmethod
    def paused(self) -> list[str]:
        """Return the sessions whose programs were computing when the server ended."""

    @abstractmethod
    def state(self, name: str) -> bytes | None:
        """Return a state's bytes."""

    @abstractmethod
    def has_state(self, name: str) -> bool:
        """Return whether there is a state of that name."""

    @abstractmethod
    def run(self, session: str, id: str) -> tuple[str, str, bytes | None] | None:
        """Return a run's digest, status and body."""

    @abstractmethod
    def runs(self, session: str, limit: int = 1000) -> list[tuple[str, str, float]]:
        """Return id, status and time of a session's runs, the newest first."""

    @abstractmethod
    def snapshot(self, id: str) -> tuple[str, float, str, str, str | None] | None:
        """Return a snapshot's tenant, time, spec, state and suspended program."""

    @abstractmethod
    def snapshots(self, tenant: str, after: str, limit: int) -> list[tuple[str, float, int]]:
        """Return id, time and size of a tenant's snapshots, those after one."""

    @abstractmethod
    def stored(self, tenant: str) -> tuple[int, int]:
        """Return how many sessions a tenant has here, and how many bytes its states take."""

    @abstractmethod
    def usage(self, tenant: str, days: int = 31) -> list[dict[str, Any]]:
        """Return what a tenant has used, by day in UTC, the newest first."""


class SqlLedger(ServerLedger):
    """A ledger in SQL, of which SQLite and PostgreSQL have the same."""

    @abstractmethod
    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query, whose values are question marks."""

    def _apply(self, execute: Callable[[str, tuple[Any, ...]], int], orders: list[list[Change]]) -> None:
        """Make all changes with a function that returns how many rows each has changed. Raises LeaseLost."""
        charges: dict[tuple[str, str], list[float]] = {}
        for name, values in (change for order in orders for change in order):
            if name == "charge":
                used = charges.setdefault(values[:2], [0] * (len(values) - 2))
                used[:] = map(sum, zip(used, values[2:], strict=True))
            elif not execute(_SQL[name], values) and name in ("check_lease", "take_lease"):
                raise LeaseLost(values[-2])
        # Once for each tenant, and in the same order in all nodes, which wait for each other's rows.
        for key, used in sorted(charges.items()):
            execute(_SQL["charge"], (*key, *used))

    # Reads.

    def session(self, id: str) -> SessionRow | None:
        """Return a session's row."""
        for row in self._rows("SELECT * FROM sessions WHERE id = ?", (id,)):
            return SessionRow(*row)
        return None

    def sessions(self, tenant: str, after: str, limit: int) -> list[SessionRow]:
        """Return a tenant's sessions by id, those after one."""
        rows = self._rows(
            "SELECT * FROM sessions WHERE tenant = ? AND id > ? AND expires > ? ORDER BY id LIMIT ?",
            (tenant, after, time.time(), limit),
        )
        return [SessionRow(*row) for row in rows]

    def expired(self, now: float, limit: int = 100) -> list[SessionRow]:
        """Return sessions whose life is over."""
        rows = self._rows("SELECT * FROM sessions WHERE expires < ? LIMIT ?", (now, limit))
        return [SessionRow(*row) for row in rows]

    def paused(self) -> list[str]:
        """Return the sessions whose programs were computing when the server ended."""
        rows = self._rows("SELECT id FROM sessions WHERE waits LIKE ?", ('{"kind": "paused"%',))
        return [row[0] for row in rows]

    def state(self, name: str) -> bytes | None:
        """Return a state's bytes."""
        for row in self._rows("SELECT data FROM states WHERE id = ?", (name,)):
            return bytes(row[0])
        return None

    def has_state(self, name: str) -> bool:
        """Return whether there is a state of that name."""
        return bool(self._rows("SELECT 1 FROM states WHERE id = ?", (name,)))

    def run(self, session: str, id: str) -> tuple[str, str, bytes | None] | None:
        """Return a run's digest, status and body."""
        for row in self._rows("SELECT digest, status, body FROM runs WHERE session = ? AND id = ?", (session, id)):
            return row[0], row[1], row[2]
        return None

    def runs(self, session: str, limit: int = 1000) -> list[tuple[str, str, float]]:
        """Return id, status and time of a session's runs, the newest first."""
        rows = self._rows(
            "SELECT id, status, made FROM runs WHERE session = ? ORDER BY made DESC LIMIT ?", (session, limit)
        )
        return [(row[0], row[1], row[2]) for row in rows]

    def snapshot(self, id: str) -> tuple[str, float, str, str, str | None] | None:
        """Return a snapshot's tenant, time, spec, state and suspended program."""
        for row in self._rows("SELECT tenant, made, spec, state, waits FROM snapshots WHERE id = ?", (id,)):
            return row[0], row[1], row[2], row[3], row[4]
        return None

    def snapshots(self, tenant: str, after: str, limit: int) -> list[tuple[str, float, int]]:
        """Return id, time and size of a tenant's snapshots, those after one."""
        rows = self._rows(
            "SELECT snapshots.id, made, size FROM snapshots JOIN states ON states.id = snapshots.state "
            "WHERE snapshots.tenant = ? AND snapshots.id > ? ORDER BY snapshots.id LIMIT ?",
            (tenant, after, limit),
        )
        return [(row[0], row[1], row[2]) for row in rows]

    def stored(self, tenant: str) -> tuple[int, int]:
        """Return how many sessions a tenant has here, and how many bytes its states take."""
        ((count,),) = self._rows("SELECT count(*) FROM sessions WHERE tenant = ?", (tenant,))
        ((size,),) = self._rows("SELECT coalesce(sum(size), 0) FROM states WHERE tenant = ?", (tenant,))
        return count, int(size)

    def usage(self, tenant: str, days: int = 31) -> list[dict[str, Any]]:
        """Return what a tenant has used, by day in UTC, the newest first."""
        names = ("day", "fuel", "wall", "runs", "calls", "output", "creates")
        rows = self._rows(
            f"SELECT {', '.join(names)} FROM usage WHERE tenant = ? ORDER BY day DESC LIMIT ?", (tenant, days)
        )
        return [dict(zip(names, row, strict=True)) for row in rows]


class SessionLedger(SqlLedger):
    """The SQLite file ``ledger.db`` in a folder, which one server at a time uses.

    Raises ConfigurationError where another server uses the folder, or StoreFailed.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
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
        self._writer = self._connect()
        self._writer.executescript(TABLES)
        if len(self._writer.execute("SELECT * FROM sessions LIMIT 0").description) < len(SessionRow._fields):
            # A store from before there were leases.
            for column in ("holder TEXT", "epoch INTEGER NOT NULL DEFAULT 0"):
                self._writer.execute(f"ALTER TABLE sessions ADD COLUMN {column}")
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        for _ in range(READERS):
            self._idle.put(self._connect())
        self._thread.start()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        # FULL: the log is on the disk when a commit returns.
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 30000", "cache_size = -16000"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def close(self) -> None:
        """Write what is left, and let others use the folder. Safe to call twice."""
        super().close()
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()
        self._stack.close()

    def make(self, orders: list[list[Change]]) -> list[BaseException | None]:
        """On the writer's thread: make the changes of all orders in one transaction, or none."""
        connection = self._writer
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._apply(lambda query, values: connection.execute(query, values).rowcount, orders)
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StoreFailed(type(error).__name__) from error
        return [None] * len(orders)

    def end(self) -> None:
        """On the writer's thread: there will be no more."""
        self._writer.close()

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._reader() as connection:
            try:
                return connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise StoreFailed(type(error).__name__) from error

    @contextlib.contextmanager
    def _reader(self) -> Generator[sqlite3.Connection, None, None]:
        try:
            connection = self._idle.get(timeout=PATIENCE)
        except queue.Empty:
            raise StoreFailed("Busy") from None
        try:
            yield connection
        finally:
            self._idle.put(connection)


class _Order:
    """Changes for one transaction, and who waits for them."""

    __slots__ = ("changes", "done", "loop")

    def __init__(self, changes: list[Change], loop: asyncio.AbstractEventLoop | None) -> None:
        self.changes, self.loop = changes, loop
        if loop is not None:
            self.done: asyncio.Future[None] = loop.create_future()

    @property
    def is_awaited(self) -> bool:
        """Whether a request waits for it."""
        return self.loop is not None


def _settle(orders: list[tuple[_Order, BaseException | None]]) -> None:
    for order, error in orders:
        if order.done.done():
            continue
        if error is None:
            order.done.set_result(None)
        else:
            order.done.set_exception(error)
