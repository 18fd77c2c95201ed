"""SQL on a real database, and everything that must leave it as it was."""

import contextlib
import math
import resource
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
from tests.databases import running_postgres

pytest.importorskip("sqlalchemy", reason="the extra 'sql' is not installed")

import sqlalchemy
from sqlalchemy.event import listen

from cloche.host_tools import ToolRejected
from cloche.host_tools.builtin import SqlQuery, sql
from cloche.runtime.errors import ConfigurationError


@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "shop.db"
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE receipts (id INTEGER PRIMARY KEY, customer TEXT, price REAL);"
        "CREATE INDEX by_customer ON receipts (customer);"
        "INSERT INTO receipts VALUES (1, 'Ann', 12.5), (2, 'Bob', 7.0), (3, 'Ann', 1.5);"
    )
    connection.close()
    yield f"sqlite:///{path}"
    check = sqlite3.connect(path)
    assert check.execute("SELECT count(*), sum(price) FROM receipts").fetchall() == [(3, 21.0)]
    assert [row[1] for row in check.execute("PRAGMA database_list")] == ["main"]
    check.close()


def test_rows_are_dicts(database: str) -> None:
    query = SqlQuery(database)
    assert query("SELECT customer, sum(price) AS total FROM receipts GROUP BY customer ORDER BY 1") == [
        {"customer": "Ann", "total": 14.0},
        {"customer": "Bob", "total": 7.0},
    ]


def test_parameters_are_values_and_never_sql(database: str) -> None:
    query = SqlQuery(database)
    statement = "SELECT id FROM receipts WHERE customer = :name"
    assert query(statement, {"name": "Bob"}) == [{"id": 2}]
    assert query(statement, {"name": "x' OR 1=1 --"}) == []


def test_names_that_come_twice_are_numbered(database: str) -> None:
    assert SqlQuery(database)("SELECT a.id, b.id FROM receipts a JOIN receipts b ON a.id = b.id LIMIT 1") == [
        {"id": 1, "id_2": 1}
    ]


def test_recursive_queries_and_functions_are_reading(database: str) -> None:
    numbers = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 5) SELECT sum(x) AS s FROM n"
    assert SqlQuery(database)(numbers) == [{"s": 15}]
    assert SqlQuery(database)("SELECT upper('a') AS u, round(1.26, 1) AS r") == [{"u": "A", "r": 1.3}]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM receipts",
        "INSERT INTO receipts VALUES (9, 'Eve', 1)",
        "UPDATE receipts SET price = 0",
        "DROP TABLE receipts",
        "CREATE TABLE more (x)",
        "ALTER TABLE receipts RENAME TO gone",
        "WITH gone AS (SELECT 1) DELETE FROM receipts",
        "SELECT 1; DELETE FROM receipts",
        "PRAGMA writable_schema = ON",
        "SELECT * FROM pragma_database_list",
        "ATTACH DATABASE 'other.db' AS other",
        "VACUUM INTO 'copy.db'",
        "BEGIN; DELETE FROM receipts; COMMIT",
        "COMMIT",
        "SAVEPOINT x",
        "SELECT load_extension('x')",
        "EXPLAIN DELETE FROM receipts",
        "REINDEX",
        "ANALYZE",
        "DETACH main",
    ],
)
def test_nothing_can_be_changed(database: str, statement: str) -> None:
    query = SqlQuery(database)
    with pytest.raises(ToolRejected) as caught:
        query(statement)
    assert caught.value.guest_type == "ValueError"
    assert query("SELECT count(*) AS n FROM receipts") == [{"n": 3}]


def test_a_connection_of_the_owners_pool_is_given_back_unrestricted(database: str) -> None:
    engine = sqlalchemy.create_engine(database)
    SqlQuery(engine)("SELECT 1")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("CREATE TEMP TABLE mine (x)"))
    engine.dispose()


def test_writing_has_to_be_asked_for(tmp_path: Path) -> None:
    query = SqlQuery(f"sqlite:///{tmp_path / 'new.db'}", writable=True)
    assert query("CREATE TABLE notes (text)") == []
    assert query("INSERT INTO notes VALUES (:text)", {"text": "kept"}) == []
    assert query("SELECT * FROM notes") == [{"text": "kept"}]


def test_too_many_rows_say_what_to_do(database: str) -> None:
    query = SqlQuery(database, rows=2)
    with pytest.raises(ToolRejected, match="more than 2 rows: add LIMIT"):
        query("SELECT * FROM receipts")
    assert len(query("SELECT * FROM receipts LIMIT 2")) == 2


def test_a_query_without_end_is_ended(database: str) -> None:
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    with pytest.raises(ToolRejected, match="interrupted"):
        SqlQuery(database, time=0.1)(endless)


@pytest.mark.parametrize(
    ("statement", "words"),
    [("SELEC 1", "syntax error"), ("SELECT * FROM absent", "no such table"), ("SELECT :x", "'x'|parameter")],
)
def test_mistakes_are_told(database: str, statement: str, words: str) -> None:
    with pytest.raises(ToolRejected, match=words):
        SqlQuery(database)(statement)


def test_a_statement_of_megabytes_is_not_taken_apart(database: str) -> None:
    query = SqlQuery(database)
    for statement, parameters in (
        ("SELECT " + ":a " * 500_000, {}),
        ("SELECT " + ":a" * 2_000, {}),
        ("SELECT :a", {str(number): 1 for number in range(2_000)}),
    ):
        with pytest.raises(ToolRejected, match="1,000 parameters"):
            query(statement, parameters)


def test_the_help_names_tables_and_columns(database: str) -> None:
    text = SqlQuery(database).spec()["doc"]
    assert "receipts(id INTEGER, customer TEXT, price REAL)" in text
    assert "receipts" not in SqlQuery(database, describe=False).spec()["doc"]


def test_databases_that_cannot_be_kept_read_only_are_refused() -> None:
    engine = SimpleNamespace(dialect=SimpleNamespace(name="oracle"))
    with pytest.raises(ConfigurationError, match="writable=True"):
        SqlQuery(engine, describe=False)


HEAVY = [
    "SELECT length(hex(zeroblob(490000000))) AS n",
    "SELECT replace(hex(zeroblob(400000)), '0', hex(zeroblob(400000))) AS x",
    "SELECT zeroblob(100000000) AS x",
    "SELECT randomblob(1000000000) AS x",
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT randomblob(900000) AS b FROM n",
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT group_concat(hex(randomblob(9999))) FROM n",
    "WITH RECURSIVE n(x) AS (SELECT 'a' UNION ALL SELECT x || x FROM n) SELECT max(length(x)) FROM n",
    "SELECT printf('%1000000000d', 1) AS x",
    "SELECT printf('%.*c', 1000000000, 'x') AS x",
    "SELECT json_group_array(hex(randomblob(99999))) FROM receipts a, receipts b, receipts c, receipts d",
]
SLOW = [
    "SELECT instr({text}, {part} || 'b') AS x",
    "SELECT length(replace({text}, {part} || 'b', '')) AS x",
    "SELECT length(trim({text}, {part})) AS x",
    "SELECT {text} LIKE {wild} AS x",
    "SELECT {text} GLOB {wild} AS x",
    "SELECT json_patch(json_group_object(a.id, 1), json_group_object(a.id, 2)) AS x FROM receipts a",
]


def widened(depth: int) -> str:
    inner = widened(depth - 1) if depth else "SELECT 1 AS a"
    return f"SELECT {'+'.join(['a'] * 40)} AS a FROM ({inner})"


def multiplied(body: str) -> str:
    tables = [f"c{number}(x) AS ({body.replace('?', f'c{number - 1}')})" for number in range(1, 40)]
    return f"WITH c0(x) AS (SELECT 1), {', '.join(tables)} SELECT * FROM c39"


COMPILED_OR_SORTED = [
    # What takes its time and memory before anything runs, so that no interrupt reaches it.
    widened(6),
    multiplied("SELECT x + x FROM ?"),
    multiplied("SELECT a.x FROM ? a, ? b"),
    multiplied("SELECT x FROM ? UNION ALL SELECT x FROM ?"),
    # What sorts, and what it keeps for it.
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT randomblob(9999) AS b FROM n ORDER BY b",
    "WITH RECURSIVE n(x) AS (SELECT randomblob(9999) UNION SELECT randomblob(9999) FROM n) SELECT count(*) FROM n",
]


@pytest.mark.parametrize("statement", [*HEAVY, *COMPILED_OR_SORTED])
def test_no_query_takes_more_memory_or_time_than_it_may(database: str, statement: str) -> None:
    query = SqlQuery(database, time=3)
    # The largest child so far may be another test's.
    before, largest, started = peak(), peak(resource.RUSAGE_CHILDREN), time.monotonic()
    with contextlib.suppress(ToolRejected):
        assert len(str(query(statement))) < 1 << 20
    assert peak() - before < 64 << 20
    assert peak(resource.RUSAGE_CHILDREN) <= max(largest, 512 << 20)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("statement", SLOW)
def test_no_function_takes_longer_than_a_query_may(database: str, statement: str) -> None:
    text, part = "hex(zeroblob(500000))", "hex(zeroblob(240000))"
    wild = "'" + "%0*0" * 40 + "%1'"
    started = time.monotonic()
    with contextlib.suppress(ToolRejected):
        SqlQuery(database, time=0.5)(statement.format(text=text, part=part, wild=wild))
    assert time.monotonic() - started < 10


def peak(who: int = resource.RUSAGE_SELF) -> int:
    return resource.getrusage(who).ru_maxrss << 10


def test_rows_together_may_not_be_too_large(database: str) -> None:
    statement = "SELECT hex(zeroblob(300)) AS x FROM receipts"
    with pytest.raises(ToolRejected, match=r"the rows have more than 1\.465 KiB: select fewer columns"):
        SqlQuery(database, size=1_500)(statement)
    assert len(SqlQuery(database, size="2 KiB")(statement)) == 3


@pytest.fixture
def shared() -> Iterator[sqlalchemy.Engine]:
    """A database in memory, on one connection for all threads."""
    engine = sqlalchemy.create_engine(
        "sqlite://", poolclass=sqlalchemy.StaticPool, connect_args={"check_same_thread": False}
    )
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE numbers (n INTEGER)")
        connection.exec_driver_sql("INSERT INTO numbers VALUES " + ", ".join(f"({n})" for n in range(500)))
    yield engine
    engine.dispose()


def test_queries_on_one_shared_connection_do_not_freeze_the_process(shared: sqlalchemy.Engine) -> None:
    queries = [SqlQuery(shared) for _ in range(2)]
    expected = [{"n": 500, "s": 124_750}]
    found: list[object] = []

    def work(query: SqlQuery) -> None:
        for _ in range(15):
            found.append(query("SELECT count(*) AS n, sum(n) AS s FROM numbers"))

    def write() -> None:
        for _ in range(200):
            with shared.begin() as connection:
                connection.exec_driver_sql("UPDATE numbers SET n = n")

    threads = [threading.Thread(target=work, args=(query,)) for query in queries for _ in range(2)]
    threads.append(threading.Thread(target=write))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    assert found == [expected] * 60


def test_the_shared_connection_is_left_as_it_was(shared: sqlalchemy.Engine) -> None:
    query = SqlQuery(shared)
    with pytest.raises(ToolRejected):
        query("DELETE FROM numbers")
    with shared.begin() as connection:
        connection.exec_driver_sql("DELETE FROM numbers WHERE n > 9")
    assert query("SELECT count(*) AS n FROM numbers") == [{"n": 10}]


def test_databases_that_are_attached_are_read_too(database: str, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "o'ther?.db")) as other:
        other.executescript("CREATE TABLE t (x); INSERT INTO t VALUES (7)")
    engine = sqlalchemy.create_engine(database)

    def attach(connection: sqlite3.Connection, _: object) -> None:
        connection.execute('ATTACH DATABASE ? AS "my other"', (str(tmp_path / "o'ther?.db"),))

    listen(engine, "connect", attach)
    query = SqlQuery(engine)
    assert query('SELECT x, count(*) AS n FROM "my other".t, receipts GROUP BY x') == [{"x": 7, "n": 3}]
    with pytest.raises(ToolRejected):
        query('DELETE FROM "my other".t')
    engine.dispose()


def test_the_worker_sees_nothing_of_this_processs_environment(
    database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nenv > {seen}\nexec {sys.executable} "$@"\n')
    script.chmod(0o700)
    monkeypatch.setenv("API_KEY", "sk-secret")
    query = SqlQuery(database)
    monkeypatch.setattr(sys, "executable", str(script))
    assert query("SELECT 1 AS n") == [{"n": 1}]
    assert "sk-secret" not in seen.read_text()


def test_blobs_and_numbers_come_as_they_are(database: str) -> None:
    statement = "SELECT x'00ff' AS b, 1e999 AS i, 9223372036854775807 AS n, NULL AS z, '\"{}' AS t, :b AS p"
    assert SqlQuery(database)(statement, {"b": b"\x00"}) == [
        {"b": b"\x00\xff", "i": math.inf, "n": 2**63 - 1, "z": None, "t": '"{}', "p": b"\x00"}
    ]


def test_a_database_in_memory_that_is_too_large_to_copy(
    shared: sqlalchemy.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloche.host_tools.builtin._sqlite._MAX_COPIED", 4_000)
    with pytest.raises(ToolRejected, match=r"larger than the 3\.906 KiB that are copied"):
        SqlQuery(shared)("SELECT 1")


def test_a_journal_that_is_written_ahead_is_read(database: str) -> None:
    path = database.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE late (x)")
        writer.execute("INSERT INTO late VALUES (5)")
        assert SqlQuery(database)("SELECT x FROM late") == [{"x": 5}]


def test_values_of_other_classes_are_bound(database: str) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5)
    given = {"a": moment, "b": moment.date(), "c": moment.time(), "d": True}
    assert SqlQuery(database)("SELECT :a AS a, :b AS b, :c AS c, :d AS d", given) == [
        {"a": "2026-01-02 03:04:05", "b": "2026-01-02", "c": "03:04:05", "d": 1}
    ]
    for value in (2**70, [1], "\ud800", Decimal(1)):
        with pytest.raises(ToolRejected):
            SqlQuery(database)("SELECT :a AS a", {"a": value})


def test_a_query_tool_is_closed_with_the_block(database: str) -> None:
    with SqlQuery(database) as query:
        assert query("SELECT 1 AS n") == [{"n": 1}]
    query.close()
    assert query("SELECT 1 AS n") == [{"n": 1}]


# -- servers


class _Connection:
    """Notes what is run, in place of a server that is not here."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.killed = threading.Event()
        self.connection = SimpleNamespace(dbapi_connection=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execution_options(self, **_: object) -> Self:
        return self

    def exec_driver_sql(self, statement: str) -> Any:
        self.done.append(statement)
        if statement.startswith("KILL"):
            self.killed.set()
        return SimpleNamespace(scalar=lambda: 17)

    def execute(self, statement: str, parameters: object) -> Any:
        self.done.append(statement)
        return SimpleNamespace(returns_rows=False)

    def rollback(self) -> None:
        self.done.append("ROLLBACK")

    def invalidate(self) -> None:
        self.done.append("INVALID")


@pytest.fixture
def _no_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sqlalchemy.event.listen", lambda *_: None)  # pyright: ignore[reportUnknownLambdaType]


@pytest.mark.usefixtures("_no_events")
def test_mysql_gets_one_statement_in_a_read_only_transaction() -> None:
    connection = _Connection()
    reader = sql._MysqlReader(lambda: connection, str, 10, 10, 2.0)  # pyright: ignore[reportPrivateUsage]
    with reader.rows("SELECT 1;\n", {}) as (names, rows):
        assert not [*names, *rows]
    begun = ["ROLLBACK", "SET SESSION TRANSACTION READ ONLY", "START TRANSACTION READ ONLY", "SELECT CONNECTION_ID()"]
    condition = "SELECT 1 FROM DUAL WHERE 1 = 0 AND EXISTS (\nSELECT 1\n)"
    assert connection.done == [*begun, condition, "SELECT @@max_allowed_packet", "SELECT 1", "ROLLBACK"]
    with pytest.raises(ToolRejected, match="one statement at a time"), reader.rows("COMMIT; DROP TABLE receipts", {}):
        pass


@pytest.mark.usefixtures("_no_events")
def test_mysql_kills_a_query_whose_time_is_over() -> None:
    connection = _Connection()
    reader = sql._MysqlReader(lambda: connection, str, 10, 10, 0.01)  # pyright: ignore[reportPrivateUsage]
    with reader.rows("SELECT SLEEP(3600)", {}):
        assert connection.killed.wait(60)
    assert "KILL QUERY 17" in connection.done


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with running_postgres("shop") as server:
        url = server.replace("postgresql:", "postgresql+psycopg:")
        with SqlQuery(url, writable=True, describe=False) as query:
            query("CREATE TABLE receipts (id int PRIMARY KEY, customer text, price float)")
            query("INSERT INTO receipts VALUES (1, 'Ann', 12.5), (2, 'Bob', 7.0), (3, 'Ann', 1.5)")
        yield url


@pytest.fixture
def on_postgres(postgres: str) -> Iterator[SqlQuery]:
    with SqlQuery(postgres, time=20.0) as query:
        yield query
        assert query("SELECT count(*) AS n, sum(price) AS s FROM receipts") == [{"n": 3, "s": 21.0}]


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ("SELECT customer, sum(price) AS total FROM receipts GROUP BY 1 ORDER BY 1",
         [{"customer": "Ann", "total": 14.0}, {"customer": "Bob", "total": 7.0}]),
        ("SELECT id FROM receipts WHERE customer = :name", [{"id": 2}]),
        ("SELECT a.id, b.id FROM receipts a JOIN receipts b ON a.id = b.id ORDER BY 1 LIMIT 1", [{"id": 1, "id_2": 1}]),
        ("VALUES (1), (2)", [{"column1": 1}, {"column1": 2}]),
        ("WITH x AS (SELECT 1 AS a) SELECT a FROM x -- the last", [{"a": 1}]),
        ("TABLE receipts LIMIT 0", []),
        ("SELECT '10%' AS s, ARRAY[1] AS a, '{\"k\": 1}'::json AS j", [{"s": "10%", "a": [1], "j": {"k": 1}}]),
    ],
)  # fmt: skip
def test_postgresql_is_read(on_postgres: SqlQuery, statement: str, rows: list[dict[str, Any]]) -> None:
    parameters = {"name": "Bob"} if ":name" in statement else {}
    assert on_postgres(statement, parameters) == rows


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM receipts",
        "WITH gone AS (DELETE FROM receipts RETURNING *) SELECT * FROM gone",
        "INSERT INTO receipts VALUES (9, 'Eve', 1)",
        "DROP TABLE receipts",
        "SELECT * INTO other FROM receipts",
        "COMMIT",
        "SET TRANSACTION READ WRITE",
        "SELECT set_config('transaction_read_only', 'off', false), nextval('no')",
        "DO 'BEGIN DELETE FROM receipts; END'",
        "COPY receipts TO STDOUT",
        "EXPLAIN ANALYZE DELETE FROM receipts",
        "SELECT 1) AS cloche_row; DELETE FROM receipts; SELECT * FROM (SELECT 1",
        "SELECT 1) AS cloche_row, (SELECT 2",
        "SELECT 1 /* never closed",
        "SELECT 'never closed",
    ],
)
def test_nothing_can_be_changed_in_postgresql(on_postgres: SqlQuery, statement: str) -> None:
    with pytest.raises(ToolRejected) as caught:
        on_postgres(statement)
    assert caught.value.guest_type == "ValueError"


def test_an_engine_that_commits_by_itself_is_read_only_too(postgres: str) -> None:
    engine = sqlalchemy.create_engine(postgres, isolation_level="AUTOCOMMIT")
    query = SqlQuery(engine)
    with pytest.raises(ToolRejected):
        query("WITH gone AS (DELETE FROM receipts RETURNING *) SELECT * FROM gone")
    assert query("SELECT count(*) AS n FROM receipts") == [{"n": 3}]
    assert query("SELECT current_setting('transaction_read_only') AS x") == [{"x": "on"}]
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT repeat('x', 100000000) AS x",
        "SELECT repeat('x', 100000000) AS x, 1 AS cloche_row",
        "SELECT 1 AS cloche_row, repeat('x', 100000000) AS x",
        "SELECT repeat('x', 900000) AS x FROM generate_series(1, 100000)",
        "SELECT * FROM generate_series(1, 20000000)",
        "SELECT string_agg(repeat('x', 1000), '') AS x FROM generate_series(1, 50000)",
        "SELECT array_agg(n) AS x FROM generate_series(1, 2000000) n",
        "SELECT 1) AS cloche_row UNION ALL SELECT length(repeat('x', 100000000)) FROM (SELECT 1",
    ],
)
def test_no_query_on_postgresql_fills_the_hosts_memory(on_postgres: SqlQuery, statement: str) -> None:
    on_postgres("SELECT 1 AS warm")
    before = peak()
    with pytest.raises(ToolRejected):
        on_postgres(statement)
    assert peak() - before < 32 << 20


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT pg_sleep(60)",
        "SELECT pg_sleep(0.2), n FROM generate_series(1, 600) n",
        "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b",
        "SELECT set_config('statement_timeout', '0', true), pg_sleep(60)",
    ],
)
def test_queries_on_postgresql_end_in_time(postgres: str, statement: str) -> None:
    started = time.monotonic()
    with SqlQuery(postgres, time=0.5) as query:
        with pytest.raises(ToolRejected, match="canceling statement"):
            query(statement)
        assert time.monotonic() - started < 20
        assert query("SELECT 1 AS n") == [{"n": 1}]
