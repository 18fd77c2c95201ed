"""States in files: there before the ledger says so, gone after it has forgotten them."""

import asyncio
import os
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from cloche.serve.ledger.base import (
    LeaseLost,
    ServerLedger,
    SessionLedger,
    SessionRow,
    StoreFailed,
    check_lease,
    drop_state,
)
from cloche.serve.ledger.states import StateFiles

pytest.importorskip("fsspec", reason="fsspec is not installed")


@pytest.fixture(params=["folder", "memory"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerLedger]:
    made = SessionLedger(tmp_path / "store")
    made.files = StateFiles(str(tmp_path / "states") if request.param == "folder" else f"memory://states-{uuid4().hex}")
    yield made
    made.close()


def row(id: str, state: str | None) -> tuple[str, tuple[Any, ...]]:
    now = time.time()
    return "add_session", tuple(SessionRow(id, "north", now, now, now + 60, "{}", state, 0, None, 0, None))


def done(work: Awaitable[Any]) -> Any:
    async def main() -> Any:
        return await work

    return asyncio.run(main())


def files_of(ledger: ServerLedger) -> StateFiles:
    assert isinstance(ledger.files, StateFiles)
    return ledger.files


def goes(ledger: ServerLedger, name: str) -> bool:
    """Whether a state's file goes, which happens in the background."""
    for _ in range(1_000):
        if files_of(ledger).get(name) is None:
            return True
        time.sleep(0.01)
    return False


def test_a_state_is_a_file_and_counts(ledger: ServerLedger) -> None:
    name, put = ledger.put_state("north", b"bytes")
    done(ledger.write([put, row("a", name), row("b", name)]))
    assert (ledger.state(name), ledger.state_bytes(name)) == (b"", b"bytes")
    assert ledger.stored("north") == (2, 5)
    done(ledger.write([("remove_session", ("a",)), *drop_state(name)]))
    # The one that is removed afterwards is so later than this one would be.
    other, put_other = ledger.put_state("north", b"other")
    done(ledger.write([put_other, row("c", other)]))
    done(ledger.write([("remove_session", ("c",)), *drop_state(other)]))
    assert goes(ledger, other)
    assert ledger.state_bytes(name) == b"bytes"
    done(ledger.write([("remove_session", ("b",)), *drop_state(name)]))
    assert goes(ledger, name)
    assert ledger.state_bytes(name) is None


def test_the_same_bytes_have_another_name_the_next_time(ledger: ServerLedger) -> None:
    first, second = ledger.put_state("north", b"same"), ledger.put_state("north", b"same")
    assert first[0] != second[0], "the first one's removal must not be the second one's"


def test_what_was_refused_leaves_no_file(ledger: ServerLedger) -> None:
    name, put = ledger.put_state("north", b"late")
    gone = SessionRow("nobody", "north", 0, 0, 0, "{}", None, 0, None, 0, None)
    with pytest.raises(LeaseLost):
        done(ledger.write([check_lease(gone), put]))
    assert goes(ledger, name)


def test_what_cannot_be_written_is_not_in_the_ledger(ledger: ServerLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: StateFiles, name: str, data: bytes) -> None:
        raise StoreFailed("OSError")

    monkeypatch.setattr(StateFiles, "put", fail)
    name, put = ledger.put_state("north", b"bytes")
    with pytest.raises(StoreFailed):
        done(ledger.write([put, row("a", name)]))
    assert ledger.session("a") is None
    assert not ledger.has_state(name)


def test_files_that_nobody_knows_go_once_they_are_old(tmp_path: Path) -> None:
    ledger = SessionLedger(tmp_path / "store")
    files = ledger.files = StateFiles(str(tmp_path / "states"))
    name, put = ledger.put_state("north", b"known")
    done(ledger.write([put, row("a", name)]))
    files.put("0-old", b"left behind")
    files.put("0-new", b"being written")
    hours_ago = time.time() - 7_200
    for path in (tmp_path / "states").rglob("*"):
        if path.name != "0-new":
            os.utime(path, (hours_ago, hours_ago))
    assert files.sweep(ledger.has_state) == 1
    assert [files.get(each) for each in (name, "0-old", "0-new")] == [b"known", None, b"being written"]
    ledger.close()
