"""A ledger in Redis, for several nodes: what is written is one script, which Redis runs whole and alone.

Redis answers when what a script has changed is in its log on the disk, as it has to be set up for: ``appendonly yes``
and ``appendfsync always``. All is in its memory, the states too, unless these are elsewhere
(:mod:`cloche.serve.ledger.states`).
"""

import asyncio
import math
import time
from collections.abc import Callable
from importlib.resources import files
from typing import Any, TypeVar, cast

import msgpack
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cloche.runtime.errors import ConfigurationError
from cloche.serve.ledger.base import Change, LeaseLost, Node, ServerLedger, SessionRow, StoreFailed

__all__ = ["RedisLedger"]

T = TypeVar("T")

_msgpack: Any = msgpack
# Its stubs do not know the types of all options.
_client: Any = cast("Any", redis.Redis).from_url

_PREFIX = "cloche:serve:"
_FIELDS: tuple[str, ...] = SessionRow._fields
_USED = ("fuel", "wall", "runs", "calls", "output", "creates")
_COUNTS = {
    "add_session": len(_FIELDS),
    "save_session": 6,
    "renew_session": 3,
    "count_deaths": 3,
    "remove_session": 1,
    "remove_runs": 1,
    "keep_run": 6,
    "put_state": 4,
    "drop_state": 1,
    "add_snapshot": 6,
    "remove_snapshot": 1,
    "charge": 2 + len(_USED),
    "check_lease": 2,
    "take_lease": 3,
    "leave_lease": 2,
}
"""How many values each change has. A script does not take back what it has done before it fails."""
_TIMEOUTS: dict[str, Any] = {"socket_connect_timeout": 3.0, "socket_timeout": 10.0, "health_check_interval": 30}
_PAGE = 200


class RedisLedger(ServerLedger):
    """The keys of a Redis server that begin with ``prefix``; the server is not a cluster of several.

    Raises StoreFailed where it cannot be reached, and ConfigurationError where it might lose what it has answered.
    """

    is_shared = True

    def __init__(self, url: str, prefix: str = _PREFIX) -> None:
        super().__init__()
        self._prefix = prefix
        # A read may be made twice, and what changes something may not.
        self._reader: Any = _client(url, retry=Retry(NoBackoff(), 1), **_TIMEOUTS)
        self._writer: Any = _client(url, retry=Retry(NoBackoff(), 0), **_TIMEOUTS)
        folder = files("cloche.serve.ledger")
        self._changes = self._writer.register_script((folder / "changes.lua").read_text())
        self._nodes = self._writer.register_script((folder / "nodes.lua").read_text())
        self._shares = self._writer.register_script((folder / "share.lua").read_text())
        _asked(lambda: _check(self._reader))
        self._thread.start()

    def close(self) -> None:
        """Write what is left. Safe to call twice."""
        super().close()
        self._reader.close()

    def end(self) -> None:
        """On the writer's thread: there will be no more."""
        self._writer.close()

    # Changes.

    def make(self, orders: list[list[Change]]) -> list[BaseException | None]:
        """On the writer's thread: make the changes of each order, or none of it."""
        packed = _msgpack.packb([[_packed(change) for change in order] for order in orders], use_bin_type=False)
        try:
            outcomes = _asked(lambda: self._changes(args=[self._prefix, packed]))
        except StoreFailed as failed:
            # Whatever the script had done before it failed, stays.
            raise StoreFailed(failed.kind, gone=True) from failed
        return [_refusal(outcome) for outcome in outcomes]

    async def beat(self, node: Node, life: float) -> list[Node]:
        """Say that a node lives, which is believed for so many seconds of the server's clock; return all that do."""
        arguments: list[Any] = [self._prefix, node.name, node.url, node.room, life]
        found = await asyncio.to_thread(_asked, lambda: self._nodes(args=arguments))
        pairs = zip(found[::2], found[1::2], strict=True)
        described = [(name.decode(), *about.decode().split(" ", 1)) for name, about in pairs]
        return [Node(name, url, int(room)) for name, room, url in described]

    async def leave(self, node: str) -> None:
        """Say that a node has ended."""
        await asyncio.to_thread(_asked, lambda: self._writer.zrem(self._key("until"), node))

    async def share(self, node: str, tenant: str, wanted: int, limit: int) -> int:
        """Have so many of the runs that a tenant may have at once be this node's, as far as the others leave them."""
        arguments: list[Any] = [self._prefix, tenant, node, wanted, limit]
        return int(await asyncio.to_thread(_asked, lambda: self._shares(args=arguments)))

    # Reads.

    def session(self, id: str) -> SessionRow | None:
        """Return a session's row."""
        return self._rows([id])[0]

    def sessions(self, tenant: str, after: str, limit: int) -> list[SessionRow]:
        """Return a tenant's sessions by id, those after one."""
        found: list[SessionRow] = []
        now = time.time()
        while len(found) < limit:
            ids = self._ids("sessions", tenant, after, _PAGE)
            found += [row for row in self._rows(ids) if row is not None and row.expires > now]
            if len(ids) < _PAGE:
                break
            after = ids[-1]
        return found[:limit]

    def expired(self, now: float, limit: int = 100) -> list[SessionRow]:
        """Return sessions whose life is over."""
        ids = _asked(lambda: self._reader.zrangebyscore(self._key("expires"), "-inf", f"({now!r}", 0, limit))
        return [row for row in self._rows([id.decode() for id in ids]) if row is not None]

    def paused(self) -> list[str]:
        """Return the sessions whose programs were computing when the server ended."""
        return [id.decode() for id in _asked(lambda: self._reader.smembers(self._key("paused")))]

    def state(self, name: str) -> bytes | None:
        """Return a state's bytes."""
        data: bytes | None = _asked(lambda: self._reader.get(self._key("state", name)))
        return data

    def has_state(self, name: str) -> bool:
        """Return whether there is a state of that name."""
        return self._about(name) is not None

    def run(self, session: str, id: str) -> tuple[str, str, bytes | None] | None:
        """Return a run's digest, status and body."""
        packed = _asked(lambda: self._reader.hget(self._key("runs", session), id))
        if packed is None:
            return None
        digest, status, body, _ = (_value(each) for each in _msgpack.unpackb(packed, raw=True))
        return digest, status, body

    def runs(self, session: str, limit: int = 1000) -> list[tuple[str, str, float]]:
        """Return id, status and time of a session's runs, the newest first."""

        def ask() -> list[tuple[str, str, float]]:
            ids = self._reader.zrevrange(self._key("made", session), 0, limit - 1)
            kept: list[Any] = self._reader.hmget(self._key("runs", session), ids) if ids else []
            both = [(id.decode(), _msgpack.unpackb(each, raw=True)) for id, each in zip(ids, kept, strict=True) if each]
            return [(id, _value(each[1]), _value(each[3])) for id, each in both]

        return _asked(ask)

    def snapshot(self, id: str) -> tuple[str, float, str, str, str | None] | None:
        """Return a snapshot's tenant, time, spec, state and suspended program."""
        names = ("tenant", "made", "spec", "state", "waits")
        values = _asked(lambda: self._reader.hmget(self._key("snapshot", id), names))
        return None if values[0] is None else cast("Any", tuple(map(_value, values)))

    def snapshots(self, tenant: str, after: str, limit: int) -> list[tuple[str, float, int]]:
        """Return id, time and size of a tenant's snapshots, those after one."""
        found: list[tuple[str, float, int]] = []
        for id in self._ids("snapshots", tenant, after, limit):
            facts = self.snapshot(id)
            about = None if facts is None else self._about(facts[3])
            if facts is not None and about is not None:
                found.append((id, facts[1], int(about.split()[0])))
        return found

    def _about(self, state: str) -> bytes | None:
        about: bytes | None = _asked(lambda: self._reader.hget(self._key("states"), state))
        return about

    def stored(self, tenant: str) -> tuple[int, int]:
        """Return how many sessions a tenant has here, and how many bytes its states take."""
        count = _asked(lambda: self._reader.zcard(self._key("sessions", tenant)))
        size = _asked(lambda: self._reader.hget(self._key("bytes"), tenant))
        return count, int(size or 0)

    def usage(self, tenant: str, days: int = 31) -> list[dict[str, Any]]:
        """Return what a tenant has used, by day in UTC, the newest first."""

        def ask() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = []
            for day in self._reader.zrevrange(self._key("days", tenant), 0, days - 1):
                used = self._reader.hgetall(self._key("usage", f"{tenant}:{day.decode()}"))
                amounts = {name: _value(b"n" + used.get(name.encode(), b"0")) for name in _USED}
                found.append({"day": day.decode(), **amounts})
            return found

        return _asked(ask)

    def _rows(self, ids: list[str]) -> list[SessionRow | None]:
        def ask() -> list[list[bytes | None]]:
            with self._reader.pipeline(transaction=False) as pipe:
                for id in ids:
                    pipe.hmget(self._key("session", id), _FIELDS)
                rows: list[list[bytes | None]] = pipe.execute()
                return rows

        rows = _asked(ask) if ids else []
        return [None if row[0] is None else SessionRow(*map(_value, row)) for row in rows]

    def _ids(self, kind: str, tenant: str, after: str, limit: int) -> list[str]:
        low = f"({after}" if after else "-"
        ids = _asked(lambda: self._reader.zrangebylex(self._key(kind, tenant), low, "+", 0, limit))
        return [id.decode() for id in ids]

    def _key(self, *parts: str) -> str:
        return self._prefix + ":".join(parts)


def _asked(work: Callable[[], T]) -> T:
    """Return what Redis answers. Raises StoreFailed."""
    try:
        return work()
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        raise StoreFailed(type(error).__name__, gone=True) from error
    except redis.RedisError as error:
        raise StoreFailed(type(error).__name__) from error


def _check(client: Any) -> None:
    """Raise ConfigurationError where the server forgets, or answers before what it was told is on its disk."""
    wanted = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
    try:
        found = {name: client.config_get(name).get(name) for name in wanted}
    except redis.ResponseError:
        # A service's, which does not show its settings: it says as much.
        found = {} if client.info("persistence").get("aof_enabled") else {"appendonly": "no"}
    wrong = [f"{name} {wanted[name]}" for name, value in found.items() if value != wanted[name]]
    if wrong:
        raise ConfigurationError("ledger", f"this Redis would lose what it has answered: set {', '.join(wrong)}")


def _packed(change: Change) -> list[bytes | str]:
    name, values = change
    if _COUNTS.get(name) != len(values):
        raise StoreFailed("ValueError")
    return [name, *map(_text, values)]


def _text(value: Any) -> bytes:
    """Return a value as the script and the server keep it. Raises StoreFailed for one that these could not take."""
    match value:
        case None:
            return b""
        case bytes():
            return b"b" + value
        case str():
            return b"s" + value.encode()
        case int():
            # A bool is one, too.
            return b"n%d" % value
        case float() if math.isfinite(value):
            return b"n" + repr(value).encode()
        case _:
            raise StoreFailed("ValueError")


def _value(kept: bytes | None) -> Any:
    """Return the value of such a text."""
    if not kept:
        return None
    kind, rest = kept[:1], kept[1:]
    if kind == b"b":
        return rest
    if kind == b"s":
        return rest.decode()
    text = rest.decode()
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def _refusal(outcome: bytes) -> BaseException | None:
    if not outcome:
        return None
    return LeaseLost(outcome.decode()) if outcome.startswith(b"lease") else StoreFailed("IntegrityError")
