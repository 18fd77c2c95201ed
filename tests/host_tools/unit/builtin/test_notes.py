"""Notes, in each store."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.databases import running_redis

from cloche.host_tools import Tool, ToolRegistry, ToolRejected
from cloche.host_tools.builtin import Memo, RedisNotes, SQLiteNotes
from cloche.host_tools.builtin.notes import NoteStore


@pytest.fixture(scope="module")
def redis_server() -> Iterator[str]:
    with running_redis() as url:
        yield url


@pytest.fixture(params=["memory", "file", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> NoteStore:
    if request.param == "memory":
        return SQLiteNotes()
    if request.param == "file":
        return SQLiteNotes(tmp_path / "notes.db")
    import redis

    url: str = request.getfixturevalue("redis_server")
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return RedisNotes(url)


def tools(memo: Memo) -> dict[str, Tool]:
    return dict(ToolRegistry(memo.tools()))


def test_set_get_list_delete(store: NoteStore) -> None:
    memo = tools(Memo(store))
    memo["memo_set"]("b", "two \u00e9\n")
    memo["memo_set"]("a", "one")
    memo["memo_set"]("a", "one again")

    assert memo["memo_list"]() == ["a", "b"]
    assert memo["memo_get"]("a") == "one again"
    assert memo["memo_get"]("b") == "two \u00e9\n"
    assert [memo["memo_delete"]("a"), memo["memo_delete"]("a")] == [True, False]
    assert memo["memo_list"]() == ["b"]


def test_what_is_not_there_is_a_key_error_for_the_program(store: NoteStore) -> None:
    with pytest.raises(ToolRejected, match="'nope'") as caught:
        tools(Memo(store))["memo_get"]("nope")
    assert caught.value.guest_type == "KeyError"


def test_lone_surrogates_are_stored_somehow(store: NoteStore) -> None:
    memo = tools(Memo(store))
    memo["memo_set"]("k\ud800", "v\udfff")
    assert memo["memo_get"]("k\ud800") == "v?"


def test_notes_on_disk_outlive_the_memo(tmp_path: Path) -> None:
    first = SQLiteNotes(tmp_path / "notes.db")
    first.set("a", "one")
    first.close()
    assert SQLiteNotes(tmp_path / "notes.db").get("a") == "one"


@pytest.mark.parametrize(("key", "text"), [("", "x"), ("k" * 201, "x"), ("k", "x" * 11)])
def test_sizes_are_limited(key: str, text: str) -> None:
    with pytest.raises(ToolRejected) as caught:
        tools(Memo(max_length=10))["memo_set"](key, text)
    assert caught.value.guest_type == "ValueError"


def test_the_number_of_notes_is_limited_but_they_can_be_replaced() -> None:
    memo = tools(Memo(max_notes=1))
    memo["memo_set"]("a", "one")
    memo["memo_set"]("a", "two")
    with pytest.raises(ToolRejected, match="delete some"):
        memo["memo_set"]("b", "three")


def test_many_threads(store: NoteStore) -> None:
    memo = tools(Memo(store))

    def work(number: int) -> None:
        for index in range(20):
            memo["memo_set"](f"{number}-{index}", "x")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(memo["memo_list"]()) == 80


def test_notes_kept_side_by_side_are_no_more_than_allowed() -> None:
    class Slow(SQLiteNotes):
        def keys(self) -> list[str]:
            found = super().keys()
            time.sleep(0.02)
            return found

    store = Slow()
    keep = dict(ToolRegistry(Memo(store, max_notes=3).tools()))["memo_set"]

    def work(number: int) -> None:
        with contextlib.suppress(ToolRejected):
            keep(str(number), "x")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.keys()) == 3
