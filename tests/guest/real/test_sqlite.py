"""SQLite inside the guest: in memory and in files, under the sandbox's limits, and across forks and snapshots."""

from typing import Any

import pytest

from cloche.runtime.errors import FuelExhausted, GuestException, MemoryExceeded
from cloche.runtime.limits import Limits
from cloche.runtime.sandbox import Sandbox

BOX = Sandbox()
OPEN = "import os, sqlite3\nc = sqlite3.connect({0!r})\n"
IN_MEMORY = OPEN.format(":memory:")
IN_FILE = OPEN.format("shop.db")
INSERT = "c.execute('create table t (a)')\nc.execute('insert into t values ({})').rowcount"
RANDOM = "c.execute('select hex(randomblob(16))').fetchone()[0]"


def value(program: str, **settings: Any) -> Any:
    return BOX.run(program, **settings).unwrap()


def failure(program: str, **settings: Any) -> tuple[str, str]:
    error = BOX.run(program, **settings).error
    assert isinstance(error, GuestException)
    return error.type_name, error.message


@pytest.mark.parametrize("place", [":memory:", "shop.db", "/tmp/shop.db", "/work/shop.db", ""])
def test_rows_written_are_read(place: str) -> None:
    program = """
c.execute("create table item (name text primary key, price real)")
c.executemany("insert into item values (?, ?)", [("pear", 1.5), ("plum", 2.25)])
c.commit()
c.execute("select name, price from item order by price desc").fetchall()
"""
    assert value(OPEN.format(place) + program) == [("plum", 2.25), ("pear", 1.5)]


def test_rows_outlive_the_connection_and_the_run() -> None:
    with BOX.session() as session:
        session.run(IN_FILE + INSERT.format(7)).unwrap()
        session.run("c.commit()\nc.close()").unwrap()
        assert session.run(IN_FILE + "c.execute('select a from t').fetchall()").unwrap() == [(7,)]


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("""select json_extract('{"a": [1, {"b": "deep"}]}', '$.a[1].b')""", "deep"),
        ("""select '{"a": 5}' ->> 'a'""", 5),
        ("select json_group_array(value) from json_each('[3, 4]')", "[3,4]"),
        ("select round(sqrt(2) * pow(2, 3) + ln(exp(1)), 3)", 12.314),
        ("select date('2026-02-28', '+1 month')", "2026-03-28"),
        ("select string_agg(x, '-') from (select 1 as x union select 2)", "1-2"),
        ("with recursive n(i) as (select 1 union all select i + 1 from n where i < 10) select sum(i) from n", 55),
        ("select sum(v) over (order by v) from (select 1 as v union select 5) order by v desc", 6),
    ],
)
def test_functions(query: str, answer: object) -> None:
    assert value(f"{IN_MEMORY}c.execute({query!r}).fetchone()[0]") == answer


def test_full_text_search() -> None:
    program = """
c.execute("create virtual table note using fts5(body)")
c.executemany("insert into note values (?)", [("a bell of glass",), ("a wooden box",)])
c.execute("select highlight(note, 0, '<', '>') from note where note match 'glas*'").fetchall()
"""
    assert value(IN_MEMORY + program) == [("a bell of <glass>",)]


def test_ranges_in_space() -> None:
    program = """
c.execute("create virtual table area using rtree(id, west, east)")
c.executemany("insert into area values (?, ?, ?)", [(1, 0, 2), (2, 5, 9)])
c.execute("select id from area where west <= 6 and east >= 6").fetchall()
"""
    assert value(IN_MEMORY + program) == [(2,)]


def test_functions_and_collations_of_the_program() -> None:
    program = """
c.create_function("twice", 1, lambda x: x * 2)
c.create_collation("backwards", lambda a, b: (a < b) - (a > b))
rows = c.execute("select twice(21), x from (select 'a' as x union select 'b') order by x collate backwards")
rows.fetchall()
"""
    assert value(IN_MEMORY + program) == [(42, "b"), (42, "a")]


def test_what_a_function_raises_reaches_the_query() -> None:
    program = IN_MEMORY + "c.create_function('bad', 0, lambda: 1 / 0)\nc.execute('select bad()').fetchone()"
    assert failure(program)[0] == "OperationalError"


def test_a_function_may_call_a_tool() -> None:
    def price(name: str) -> int:
        return len(name)

    program = IN_MEMORY + "c.create_function('price', 1, price)\nc.execute(\"select price('plum')\").fetchone()"
    assert Sandbox(tools=[price]).run(program).unwrap() == (4,)


@pytest.mark.parametrize("place", [":memory:", "shop.db"])
def test_a_transaction_that_fails_leaves_nothing(place: str) -> None:
    program = """
c.execute("create table t (a unique)")
try:
    with c:
        c.execute("insert into t values (1)")
        c.execute("insert into t values (1)")
except sqlite3.IntegrityError as error:
    said = str(error)
said, c.execute("select count(*) from t").fetchone()
"""
    assert value(OPEN.format(place) + program) == ("UNIQUE constraint failed: t.a", (0,))


def test_savepoints() -> None:
    program = """
c.isolation_level = None
for line in ("create table t (a)", "savepoint s", "insert into t values (1)", "rollback to s", "release s"):
    c.execute(line)
c.execute("select count(*) from t").fetchone()
"""
    assert value(IN_FILE + program) == (0,)


TWO = IN_FILE + "d = sqlite3.connect('/work/shop.db', timeout=0.01)\nc.execute('create table t (a)')\n"


def test_one_connection_writes_while_the_other_waits() -> None:
    program = """
c.execute("insert into t values (1)")
seen = d.execute("select count(*) from t").fetchone()
try:
    d.execute("insert into t values (2)")
except sqlite3.OperationalError as error:
    said = str(error)
d.rollback()
c.commit()
seen, said, d.execute("select count(*) from t").fetchone()
"""
    assert value(TWO + program) == ((0,), "database is locked", (1,))


def test_two_connections_read_at_once() -> None:
    program = """
c.executemany("insert into t values (?)", [(1,), (2,)])
c.commit()
one, two = c.execute("select a from t"), d.execute("select a from t")
next(one), next(two), next(one), next(two)
"""
    assert value(TWO + program) == ((1,), (1,), (2,), (2,))


def test_waiting_for_a_lock_takes_the_time_of_the_sandbox() -> None:
    program = """
import time
c.execute("insert into t values (1)")
before = time.monotonic()
d.execute("pragma busy_timeout = 3000")
try:
    d.execute("insert into t values (2)")
except sqlite3.OperationalError as error:
    (str(error), time.monotonic() - before)
waited = time.monotonic() - before
2.5 < waited < 3.5
"""
    assert Sandbox(clock=0.0).run(TWO + program).unwrap() is True


def test_the_journal_lies_beside_the_file_and_goes_with_the_transaction() -> None:
    program = """
c.execute("create table t (a)")
c.execute("insert into t values (1)")
during = sorted(os.listdir())
c.commit()
during, os.listdir()
"""
    assert value(IN_FILE + program) == (["shop.db", "shop.db-journal"], ["shop.db"])


def test_a_write_ahead_log_needs_the_file_for_itself() -> None:
    shared = IN_FILE + "c.execute('pragma journal_mode = wal').fetchone()"
    alone = IN_FILE + "c.execute('pragma locking_mode = exclusive')\nc.execute('pragma journal_mode = wal').fetchone()"
    assert (value(shared), value(alone)) == (("delete",), ("wal",))


FILL = """
c.execute("create table t (a)")
c.commit()
try:
    for _ in range(10_000):
        c.execute("insert into t values (zeroblob(10000))")
        c.commit()
except sqlite3.OperationalError as error:
    said = str(error)
    c.rollback()
rows = c.execute("select count(*) from t").fetchone()[0]
"""


def test_a_full_file_system_is_an_error_and_the_rest_is_kept() -> None:
    program = IN_FILE + FILL + "said, 50 < rows < 110, c.execute('pragma integrity_check').fetchone()"
    assert value(program, limits=Limits(file_bytes="1 MiB")) == ("database or disk is full", True, ("ok",))


def test_journals_count_as_files() -> None:
    program = IN_FILE + "c.execute('create table t (a)')"
    assert value(program + "\nos.listdir()", limits=Limits(files=2)) == ["shop.db"]
    name, said = failure(program, limits=Limits(files=1))
    assert (name, "unable to open database file" in said) == ("OperationalError", True)


def test_journals_count_as_bytes_of_files() -> None:
    # The second half changes every page, so that the journal holds them all once more.
    program = f"""{IN_FILE}
c.execute("create table t (a)")
c.executemany("insert into t values (?)", [("x" * 3000,)] * 100)
c.commit()
try:
    c.execute("update t set a = replace(a, 'x', 'y')")
    c.commit()
    said = "done"
except sqlite3.OperationalError as error:
    said = str(error)
said
"""
    assert value(program) == "done"
    assert value(program, limits=Limits(file_bytes="500 KiB")) == "database or disk is full"


def test_memory_is_bounded() -> None:
    program = (
        IN_MEMORY + "c.execute('create table t (a)')\nwhile True: c.execute('insert into t values (?)', [b'x' * 9**6])"
    )
    assert isinstance(BOX.run(program, limits=Limits(memory="96 MiB")).error, MemoryExceeded)


def test_a_program_can_catch_that_memory_is_short() -> None:
    program = """
c.execute("create table t (a)")
try:
    while True:
        c.execute("insert into t values (zeroblob(1000000))")
except MemoryError:
    caught = True
c.close()
caught
"""
    assert value(IN_MEMORY + program, limits=Limits(memory="96 MiB")) is True


def test_a_query_without_end_runs_out_of_fuel_and_the_session_goes_on() -> None:
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"
    with BOX.session() as session:
        session.run(IN_FILE + "c.execute('create table t (a)')\nc.commit()").unwrap()
        lost = session.run(
            f"c.execute('insert into t values (1)')\nc.execute({endless!r}).fetchone()", limits=Limits(fuel=200_000_000)
        )
        assert isinstance(lost.error, FuelExhausted)
        assert session.run("c.in_transaction, c.execute('select count(*) from t').fetchone()").unwrap() == (False, (0,))


def test_deep_expressions_are_refused_by_sqlite_itself() -> None:
    assert value(IN_MEMORY + "c.execute('select ' + '(' * 900 + '1' + ')' * 900).fetchone()") == (1,)
    assert value(IN_MEMORY + "c.execute('select ' + '1 + ' * 999 + '1').fetchone()") == (1000,)
    name, said = failure(IN_MEMORY + "c.execute('select ' + '1 + ' * 1001 + '1').fetchone()")
    assert (name, "maximum depth" in said) == ("OperationalError", True)


def test_the_library_folder_takes_no_database() -> None:
    name, said = failure(OPEN.format("/lib/shop.db") + "c.execute('create table t (a)')")
    assert (name, "unable to open database file" in said) == ("OperationalError", True)


def test_native_extensions_cannot_be_loaded() -> None:
    assert value(IN_MEMORY + "hasattr(c, 'enable_load_extension')") is False
    assert failure(IN_MEMORY + "c.execute(\"select load_extension('x')\")")[0] == "OperationalError"


def test_a_fork_has_a_database_and_random_numbers_of_its_own() -> None:
    with BOX.session() as session:
        session.run(IN_FILE + "c.execute('create table t (a)')\nc.commit()\n" + RANDOM).unwrap()
        with session.fork() as twin:
            twin.run("c.execute('insert into t values (1)')\nc.commit()").unwrap()
            count = "c.execute('select count(*) from t').fetchone()[0]"
            assert (session.run(count).unwrap(), twin.run(count).unwrap()) == (0, 1)
            assert session.run(RANDOM).unwrap() != twin.run(RANDOM).unwrap()


def test_random_numbers_follow_the_seed() -> None:
    program = IN_MEMORY + RANDOM
    same, other = {Sandbox(seed=7).run(program).unwrap() for _ in range(2)}, Sandbox(seed=8).run(program).unwrap()
    assert (len(same), other in same) == (1, False)
    assert value(program) != value(program)


def test_an_open_connection_is_part_of_a_snapshot() -> None:
    with BOX.session() as session:
        session.run(IN_FILE + INSERT.format(5)).unwrap()
        image = session.snapshot()
    with BOX.restore(image) as restored:
        assert restored.run("c.commit()\nc.execute('select a from t').fetchall()").unwrap() == [(5,)]


def test_databases_cross_as_bytes() -> None:
    with BOX.session() as session:
        data = session.run(IN_MEMORY + "c.execute('create table t (a)')\nc.commit()\nc.serialize()").unwrap()
    assert data.startswith(b"SQLite format 3\0")
    with BOX.session() as session:
        session.set("data", data)
        program = IN_MEMORY + "c.deserialize(data)\nc.execute('select name from sqlite_master').fetchall()"
        assert session.run(program).unwrap() == [("t",)]


def test_dbm_and_shelve_use_it() -> None:
    program = """
import dbm, shelve
with shelve.open("kept") as kept:
    kept["a"] = [1, 2]
with shelve.open("kept") as kept:
    again = kept["a"]
again, dbm.whichdb("kept")
"""
    assert value(program) == ([1, 2], "dbm.sqlite3")
