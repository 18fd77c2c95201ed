"""Each kind of log keeps each record, and gives it back."""

import sqlite3
import stat
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloche.host_tools.call_log import CallRecord, JsonLinesLog, MemoryLog, SQLiteLog, read_json_lines
from cloche.runtime.errors import ConfigurationError

Kept = tuple[Callable[[CallRecord], None], Callable[[], list[CallRecord]]]

RECORD = CallRecord(
    id="a",
    time=1.5,
    tool="pay",
    arguments={"to": 'Ann "x"\n\u2028', "amounts": [1, None, {"deep": True}]},
    outcome="running",
    agent="buyer",
    step=3,
    run="r",
)


@pytest.fixture(params=["memory", "lines", "sqlite", "sqlite in memory"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    if request.param == "memory":
        memory = MemoryLog()
        yield memory.write, lambda: memory.records
    elif request.param == "lines":
        lines = JsonLinesLog(tmp_path / "calls.jsonl")
        yield lines.write, lambda: read_json_lines(tmp_path / "calls.jsonl")
        lines.close()
    else:
        database = SQLiteLog(":memory:" if "in memory" in request.param else tmp_path / "calls.db")
        yield database.write, lambda: database.records
        database.close()


def test_records_come_back_as_they_were(kept: Kept) -> None:
    write, read = kept
    write(RECORD)
    assert read() == [RECORD]


def test_the_end_takes_the_place_of_the_beginning(kept: Kept) -> None:
    write, read = kept
    write(RECORD)
    write(replace(RECORD, id="b"))
    ended = replace(RECORD, outcome="returned", seconds=0.25, attempts=1, approval="kim", value=[1, {"x": None}])
    write(ended)
    assert read() == [ended, replace(RECORD, id="b")]


def test_records_from_many_threads(kept: Kept) -> None:
    write, read = kept

    def work(number: int) -> None:
        for index in range(25):
            write(replace(RECORD, id=f"{number}-{index}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({record.id for record in read()}) == 100


def test_memory_keeps_the_latest() -> None:
    log = MemoryLog(max_records=2)
    for name in "abc":
        log.write(replace(RECORD, id=name))
    assert [record.id for record in log.records] == ["b", "c"]


def test_memory_keeps_no_more_than_its_size() -> None:
    log = MemoryLog(max_size="1 MiB")
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(100):
        # The record of the beginning is replaced by that of the end: it counts once.
        log.write(replace(RECORD, id=str(number), outcome="running", arguments={"rows": [[] for _ in range(2_000)]}))
        log.write(replace(RECORD, id=str(number), arguments={"rows": [[] for _ in range(2_000)]}))
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert 700_000 < used < 1 << 20
    assert [record.id for record in log.records] == [str(number) for number in range(100 - len(log.records), 100)]


def test_memory_keeps_the_latest_record_however_large() -> None:
    log = MemoryLog(max_size=1)
    log.write(RECORD)
    log.write(replace(RECORD, id="b"))
    assert [record.id for record in log.records] == ["b"]
    for wrong in (0, "1 parsec"):
        with pytest.raises(ConfigurationError, match="max_size"):
            MemoryLog(max_size=wrong)


def test_lines_are_for_the_owner_and_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    for name in "ab":
        log = JsonLinesLog(path, sync=True)
        log.write(replace(RECORD, id=name))
        log.close()
        log.close()
    assert [record.id for record in read_json_lines(path)] == ["a", "b"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_line_cut_off_by_a_crash_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    log = JsonLinesLog(path)
    log.write(RECORD)
    log.close()
    with path.open("a") as file:
        file.write('{"id": "b", "time"')
    assert [record.id for record in read_json_lines(path)] == ["a"]


def test_a_log_opened_after_a_crash_begins_a_new_line(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with JsonLinesLog(path) as log:
        log.write(RECORD)
    with path.open("ab") as file:
        file.write(b'{"id": "torn", "tool": "\xc3')
    with JsonLinesLog(path) as log:
        log.write(replace(RECORD, id="b"))
        log.write(replace(RECORD, id="c"))
    assert [record.id for record in read_json_lines(path)] == ["a", "b", "c"]


def test_a_record_behind_another_processs_torn_line_is_read(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with JsonLinesLog(path) as log:
        with path.open("ab") as file:
            file.write(b'{"id":"torn","time":1.0,"arguments":{"x":{"id":1')
        nested = replace(RECORD, id="b", arguments={"x": {"id": 2}})
        log.write(nested)
    assert read_json_lines(path) == [nested]


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"null", b"\xff\xfe", b'{"id":1}', b'{"id":"a","unknown":1}', b"{" * 9999]
)
def test_lines_that_are_no_records_are_left_out(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(line + b"\n")
    with JsonLinesLog(path) as log:
        log.write(RECORD)
    assert read_json_lines(path) == [RECORD]


def test_surrogates_are_kept_by_every_log(kept: Kept) -> None:
    write, read = kept
    write(replace(RECORD, outcome="raised", error="ValueError: \ud800", arguments={"\udfff": "\ud800"}))
    [record] = read()
    assert record.outcome == "raised"
    assert record.error in ("ValueError: \ud800", "ValueError: \\ud800")
    assert record.arguments == {"\udfff": "\ud800"}


def test_a_log_that_is_not_closed_is_closed_with_the_object(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "calls.db")
    connection = log._connection  # pyright: ignore[reportPrivateUsage]
    del log
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_two_connections_share_a_database(tmp_path: Path) -> None:
    first, second = SQLiteLog(tmp_path / "calls.db"), SQLiteLog(tmp_path / "calls.db")
    first.write(RECORD)
    second.write(replace(RECORD, id="b"))
    assert [record.id for record in first.records] == ["a", "b"]
    first.close()
    second.close()


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (JsonLinesLog, OSError),
        (SQLiteLog, sqlite3.Error),
    ],
)
def test_a_closed_log_says_so(make: Callable[[Path], Any], error: type[Exception], tmp_path: Path) -> None:
    log = make(tmp_path / "calls")
    log.close()
    with pytest.raises(error):
        log.write(RECORD)
