"""SQL on a real MariaDB server, started here, and everything that must leave it as it was and end in time."""

import contextlib
import os
import pwd
import resource
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="the extra 'sql' is not installed")

import sqlalchemy
from sqlalchemy.exc import OperationalError

from cloche.host_tools import ToolRejected
from cloche.host_tools.builtin import SqlQuery


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    pytest.importorskip("pymysql", reason="the driver of MariaDB is not installed")
    if not shutil.which("mariadbd") or not shutil.which("mariadb-install-db"):
        pytest.skip("MariaDB is not installed")
    folder = Path(tempfile.mkdtemp(prefix="mdb"))
    user = pwd.getpwuid(os.geteuid())
    if user.pw_uid == 0:
        # The server does not run as root unless it is asked to.
        try:
            user = pwd.getpwnam("mysql")
        except KeyError:
            pytest.skip("there is no user 'mysql', and MariaDB does not run as root")
        os.chown(folder, user.pw_uid, user.pw_gid)
    data, door = folder / "data", folder / "door"
    make = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--user={user.pw_name}", "--skip-test-db"]
    subprocess.run([*make, "--auth-root-authentication-method=normal"], check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        port = chosen.getsockname()[1]
    settings = [f"--datadir={data}", f"--user={user.pw_name}", f"--socket={door}", f"--port={port}"]
    settings += ["--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M"]
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(["mariadbd", "--no-defaults", *settings], stdout=log, stderr=log)
    try:
        url = f"mysql+pymysql://root@127.0.0.1:{port}/shop"
        _wait_for(running, f"mysql+pymysql://root@127.0.0.1:{port}/")
        with SqlQuery(f"mysql+pymysql://root@127.0.0.1:{port}/", writable=True, describe=False) as query:
            query("CREATE DATABASE shop")
        with SqlQuery(url, writable=True, describe=False) as query:
            query("CREATE TABLE receipts (id int PRIMARY KEY, customer text, price double)")
            query("INSERT INTO receipts VALUES (1, 'Ann', 12.5), (2, 'Bob', 7.0), (3, 'Ann', 1.5)")
            query("CREATE SEQUENCE numbers")
            query("CREATE PROCEDURE gone() DELETE FROM receipts")
            query("CREATE FUNCTION gone_too() RETURNS int BEGIN DELETE FROM receipts; RETURN 1; END")
        yield url
    finally:
        running.kill()
        running.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(running: "subprocess.Popen[bytes]", url: str) -> None:
    engine = sqlalchemy.create_engine(url)
    for _ in range(600):
        try:
            engine.connect().close()
        except OperationalError:
            if running.poll() is not None:
                pytest.skip(f"MariaDB did not start: {running.returncode}")
            time.sleep(0.1)
        else:
            break
    engine.dispose()


@pytest.fixture
def query(server: str) -> Iterator[SqlQuery]:
    with SqlQuery(server, time=20.0) as query:
        yield query
        assert query("SELECT count(*) AS n, sum(price) AS s FROM receipts") == [{"n": 3, "s": 21.0}]


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ("SELECT customer, sum(price) AS total FROM receipts GROUP BY 1 ORDER BY 1",
         [{"customer": "Ann", "total": 14.0}, {"customer": "Bob", "total": 7.0}]),
        ("SELECT id FROM receipts WHERE customer = :name", [{"id": 2}]),
        ("SELECT a.id, b.id FROM receipts a JOIN receipts b ON a.id = b.id ORDER BY 1 LIMIT 1", [{"id": 1, "id_2": 1}]),
        ("WITH x AS (SELECT 1 AS a) SELECT a FROM x -- the last", [{"a": 1}]),
        ("SELECT '10%' AS s", [{"s": "10%"}]),
        ("SELECT id FROM receipts LIMIT 0", []),
        ("(SELECT 1 AS a) UNION ALL (SELECT 2) ORDER BY a DESC LIMIT 1", [{"a": 2}]),
        ("SHOW TABLES LIKE 'rec%'", [{"Tables_in_shop (rec%)": "receipts"}]),
        ("VALUES (1), (2)", [{"1": 1}, {"1": 2}]),
    ],
)  # fmt: skip
def test_it_is_read(query: SqlQuery, statement: str, rows: list[dict[str, Any]]) -> None:
    assert query(statement, {"name": "Bob"} if ":name" in statement else {}) == rows


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM receipts",
        "INSERT INTO receipts VALUES (9, 'Eve', 1)",
        "INSERT INTO receipts VALUES (9, 'Eve', 1) RETURNING id",
        "REPLACE INTO receipts VALUES (1, 'Eve', 1)",
        "UPDATE receipts SET price = 0",
        "DROP TABLE receipts",
        "TRUNCATE receipts",
        "ALTER TABLE receipts ADD x int",
        "RENAME TABLE receipts TO gone",
        "CREATE TABLE other (a int)",
        "CREATE DATABASE other",
        "COMMIT",
        "START TRANSACTION READ WRITE",
        "SET SESSION TRANSACTION READ WRITE",
        "SET autocommit = 1",
        "BEGIN NOT ATOMIC DELETE FROM receipts END",
        "EXECUTE IMMEDIATE 'DELETE FROM receipts'",
        "ANALYZE DELETE FROM receipts",
        "SELECT 1; DELETE FROM receipts",
        "SET STATEMENT tx_read_only = 0 FOR DROP TABLE receipts",
        "EXECUTE IMMEDIATE CONCAT('SET SESSION tx_read_only = 0', CHAR(59))",
        "EXECUTE IMMEDIATE CONCAT('BEGIN NOT ATOMIC COMMIT', CHAR(59), ' DROP TABLE receipts', CHAR(59), ' END')",
        "SELECT NEXT VALUE FOR numbers",
        "SELECT setval(numbers, 50)",
        "WITH x AS (SELECT 1) DELETE FROM receipts",
        "SELECT 1 INTO @x",
        "SELECT 1) INTO OUTFILE 'stolen' FIELDS TERMINATED BY (SELECT 'x'",
        "SELECT 1) OR (SELECT 1",
        "/*!99999 SELECT 1 */ DELETE FROM receipts",
        "DESC receipts; DROP TABLE receipts",
        "CALL gone()",
        "SELECT gone_too()",
        "DO SLEEP(0)",
        "HANDLER receipts OPEN",
        "LOCK TABLES receipts WRITE",
        "FLUSH TABLES",
        "RESET MASTER",
        "SHUTDOWN",
        "INSTALL SONAME 'x'",
        "/*! DELETE FROM receipts */",
        "SELECT * FROM receipts INTO OUTFILE 'stolen'",
        "SELECT 'x' INTO DUMPFILE 'stolen'",
        "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE receipts",
        "GRANT ALL ON *.* TO eve",
        "CREATE USER eve",
        "SET GLOBAL read_only = 1",
        "SET PASSWORD = PASSWORD('x')",
        "KILL 1",
        "SELECT 1 /* never closed",
        "SELECT 'never closed",
    ],
)
def test_nothing_can_be_changed(query: SqlQuery, statement: str) -> None:
    with pytest.raises(ToolRejected) as caught:
        query(statement)
    assert caught.value.guest_type == "ValueError"


def test_an_engine_that_commits_by_itself_is_read_only_too(server: str) -> None:
    engine = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT")
    query = SqlQuery(engine)
    with pytest.raises(ToolRejected):
        query("DELETE FROM receipts")
    assert query("SELECT count(*) AS n FROM receipts") == [{"n": 3}]
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT repeat('x', 900000) AS x FROM seq_1_to_100000",
        "SELECT seq FROM seq_1_to_20000000",
        "SELECT a.seq FROM seq_1_to_100000 a, seq_1_to_100000 b",
        "SELECT repeat('x', 12000000) AS x",
        "SELECT " + ", ".join(f"repeat('x', 12000000) AS x{number}" for number in range(60)),
    ],
)
def test_no_query_fills_the_hosts_memory(query: SqlQuery, statement: str) -> None:
    query("SELECT 1 AS warm")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ToolRejected):
        query(statement)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT SLEEP(60)",
        "SELECT SLEEP(0.2), seq FROM seq_1_to_600",
        "SELECT count(*) FROM seq_1_to_100000 a, seq_1_to_100000 b",
        "SET STATEMENT max_statement_time = 0 FOR SELECT SLEEP(60)",
        "SELECT BENCHMARK(1000000000000, MD5('x'))",
        "SELECT GET_LOCK('a', 0), SLEEP(60)",
    ],
)
def test_queries_end_in_time(server: str, statement: str) -> None:
    started = time.monotonic()
    with SqlQuery(server, time=0.5) as query:
        with contextlib.suppress(ToolRejected):
            query(statement)
        assert time.monotonic() - started < 20
        assert query("SELECT 1 AS n") == [{"n": 1}]
