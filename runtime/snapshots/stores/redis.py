"""Snapshots as values of a Redis server."""

from collections.abc import Iterable
from typing import Any, Protocol

from cloche.runtime._imports import need
from cloche.runtime.errors import SnapshotNotFound
from cloche.runtime.snapshots.snapshot import Snapshot
from cloche.runtime.snapshots.stores.base import checked_name

__all__ = ["RedisClient", "RedisStore"]


class RedisClient(Protocol):
    """What is used of ``redis.Redis``."""

    def set(self, name: str, value: bytes, *, px: int | None = None) -> Any:
        """Set a key, to vanish after ``px`` milliseconds if that is not None."""
        ...

    def get(self, name: str) -> Any:
        """Return a key's value, or None."""
        ...

    def delete(self, *names: str) -> Any:
        """Delete keys and return how many there were."""
        ...

    def scan_iter(self, match: str) -> Iterable[Any]:
        """Return the keys that fit a pattern."""
        ...


class RedisStore:
    """A :class:`SnapshotStore` whose snapshots are keys of a Redis server that begin with ``prefix``.

    ``server`` is a URL such as ``redis://localhost/0``, or a client; one of one's own must not decode responses.
    ``keep`` is the seconds after which a snapshot vanishes, default never. Setting a key is one step; how durable it
    is, is the server's setting (``appendfsync always`` for every one). Wants ``cloche[redis]``.

    Raises ConfigurationError without redis, and redis.RedisError, as every method may.
    """

    def __init__(
        self, server: str | RedisClient, *, prefix: str = "cloche:session:", keep: float | None = None
    ) -> None:
        self._client: RedisClient = _client(server) if isinstance(server, str) else server
        self._prefix = prefix
        self._milliseconds = None if keep is None else max(1, round(keep * 1000))

    def put(self, name: str, snapshot: Snapshot) -> None:
        """Keep a snapshot in place of the one of that name."""
        self._client.set(self._key(name), bytes(snapshot), px=self._milliseconds)

    def get(self, name: str) -> Snapshot:
        """Return the snapshot. Raises SnapshotNotFound, or SnapshotCorrupt."""
        data = self._client.get(self._key(name))
        if data is None:
            raise SnapshotNotFound(name)
        return Snapshot.from_bytes(data)

    def list(self) -> list[str]:
        """Return all names, sorted."""
        keys = self._client.scan_iter(match=f"{_literal(self._prefix)}*")
        texts = {key.decode() if isinstance(key, bytes) else str(key) for key in keys}
        return sorted(text.removeprefix(self._prefix) for text in texts)

    def delete(self, name: str) -> None:
        """Forget the snapshot. Raises SnapshotNotFound."""
        if not self._client.delete(self._key(name)):
            raise SnapshotNotFound(name)

    def __repr__(self) -> str:
        return f"<RedisStore {self._prefix}>"

    def _key(self, name: str) -> str:
        return self._prefix + checked_name(name)


def _client(url: str) -> RedisClient:
    client: RedisClient = need("redis", "redis", what="this store", field="server").Redis.from_url(url)
    return client


def _literal(text: str) -> str:
    """Return a pattern that fits exactly this text."""
    return "".join(f"\\{each}" if each in "*?[]\\^" else each for each in text)
