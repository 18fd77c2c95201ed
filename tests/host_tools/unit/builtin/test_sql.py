"""SQL on a real database, and everything that must leave it as it was."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="the extra 'sql' is not installed")

import sqlalchemy

from cloche.host_tools import ToolRejected
from cloche.host_tools.builtin import SqlQuery
from cloche.host_tools.builtin.sql import read_only
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


def test_the_help_names_tables_and_columns(database: str) -> None:
    text = SqlQuery(database).spec()["doc"]
    assert "receipts(id INTEGER, customer TEXT, price REAL)" in text
    assert "receipts" not in SqlQuery(database, describe=False).spec()["doc"]


def test_databases_that_cannot_be_kept_read_only_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="writable=True"):
        read_only("oracle")


class _Connection:
    """Notes what is run, in place of a server that is not here."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def exec_driver_sql(self, statement: str) -> None:
        self.done.append(statement)

    def rollback(self) -> None:
        self.done.append("ROLLBACK")


@pytest.mark.parametrize(
    ("dialect", "before"),
    [
        ("postgresql", ["SET TRANSACTION READ ONLY", "SET LOCAL statement_timeout = 2000"]),
        ("mysql", ["ROLLBACK", "START TRANSACTION READ ONLY"]),
    ],
)
def test_servers_get_one_statement_in_a_read_only_transaction(dialect: str, before: list[str]) -> None:
    connection = _Connection()
    with read_only(dialect)(connection, "SELECT 1;\n", 2.0):
        assert connection.done == before
    assert connection.done[-1] == "ROLLBACK"
    with (
        pytest.raises(ToolRejected, match="one statement at a time"),
        read_only(dialect)(connection, "COMMIT; DROP TABLE receipts", 2.0),
    ):
        pass
