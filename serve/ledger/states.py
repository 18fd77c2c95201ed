"""States outside of the ledger: files of whatever fsspec reaches, a folder that nodes share or an object store.

The ledger says which states there are. A state's file is there before the ledger says so, and goes after the ledger
has forgotten it. Each has a name that no other had before, so that the one is never mistaken for the other; a file that
a server has left behind, which died in between, is found when a server starts, and goes once it is an hour old.
"""

import asyncio
import secrets
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cloche.runtime._files import write_atomically
from cloche.runtime._imports import need
from cloche.serve.ledger.base import Change, StoreFailed

__all__ = ["StateFiles"]

_THREADS = 16
"""Files that are written, read and removed at once: an object store takes tens of milliseconds for each."""
_ORPHANED = timedelta(hours=1)
"""The age from which a file that the ledger does not know has no owner: no request takes that long."""


class StateFiles:
    """The files in a folder that an fsspec URL names, or a path; ``options`` go to the file system.

    Raises ConfigurationError without fsspec, and StoreFailed, as every method may.
    """

    def __init__(self, url: str, **options: Any) -> None:
        core = need("fsspec.core", "fsspec", what="states", field="states")
        self._files, root = core.url_to_fs(url, **options)
        self._root: str = root.rstrip("/")
        self._is_local = "file" in (self._files.protocol, *self._files.protocol)
        self._folders: set[str] = set()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="states")
        self._made = threading.Lock()
        _asked(lambda: self._files.makedirs(self._root, exist_ok=True))

    def close(self) -> None:
        """Finish what was begun."""
        self._threads.shutdown()

    def unique(self, name: str) -> str:
        """Return a name for a state that no other had before."""
        return f"{name}-{secrets.token_hex(8)}"

    async def keep(self, changes: Iterable[Change]) -> tuple[list[Change], list[str]]:
        """Write the states among changes; return these without the bytes, and what has to be removed if they fail."""
        kept, written = list[Change](), list[str]()
        loop, writing = asyncio.get_running_loop(), list[asyncio.Future[None]]()
        for change in changes:
            if change[0] != "put_state":
                kept.append(change)
                continue
            state, tenant, size, data = change[1]
            writing.append(loop.run_in_executor(self._threads, self.put, state, data))
            written.append(state)
            kept.append((change[0], (state, tenant, size, b"")))
        failed = [each for each in await asyncio.gather(*writing, return_exceptions=True) if each is not None]
        if failed:
            self.remove(written)
            raise failed[0]
        return kept, written

    def remove(self, names: Iterable[str], is_kept: Callable[[str], bool] | None = None) -> None:
        """Remove files in the background, except those that ``is_kept`` says are there in the ledger."""
        for name in names:
            with suppress(RuntimeError):
                self._threads.submit(self._remove, name, is_kept)

    def sweep(self, is_kept: Callable[[str], bool]) -> int:
        """Remove files of states that the ledger does not have, except new ones. Returns how many these were."""
        removed = 0
        before = datetime.now(UTC) - _ORPHANED
        for path in _asked(lambda: self._files.find(self._root)):
            name = path.rpartition("/")[2]
            if not is_kept(name) and self._made_before(path, before):
                self._remove(name, None)
                removed += 1
        return removed

    def put(self, name: str, data: bytes) -> None:
        """Write a state's file. It is whole, or not there."""
        path = self._path(name)
        folder = path.rpartition("/")[0]
        if folder not in self._folders:
            _asked(lambda: self._files.makedirs(folder, exist_ok=True))
            self._folders.add(folder)
        if self._is_local:
            # On the disk when this returns, which a file system of fsspec does not promise.
            _asked(lambda: write_atomically(path, data))
        else:
            _asked(lambda: self._files.pipe_file(path, data))

    def get(self, name: str) -> bytes | None:
        """Return a state's bytes, None if there is no file."""
        try:
            data: bytes | None = _asked(lambda: self._files.cat_file(self._path(name)))
        except FileNotFoundError:
            return None
        return data

    def _remove(self, name: str, is_kept: Callable[[str], bool] | None) -> None:
        # What stays behind is found when a server starts.
        with suppress(StoreFailed, FileNotFoundError):
            if is_kept is None or not is_kept(name):
                _asked(lambda: self._files.rm_file(self._path(name)))

    def _made_before(self, path: str, moment: datetime) -> bool:
        try:
            made: datetime = _asked(lambda: self._files.modified(path))
        except (FileNotFoundError, NotImplementedError):
            return False
        return (made if made.tzinfo else made.replace(tzinfo=UTC)) < moment

    def _path(self, name: str) -> str:
        return f"{self._root}/{name[:2]}/{Path(name).name}"


def _asked(work: Callable[[], Any]) -> Any:
    """Return what the file system answers. Raises StoreFailed, FileNotFoundError, NotImplementedError."""
    try:
        return work()
    except (FileNotFoundError, NotImplementedError):
        raise
    except Exception as error:
        # Each file system has errors of its own kind.
        raise StoreFailed(type(error).__name__) from error
