"""Built-in tools as programs in the real guest use them."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from cloche.host_tools.builtin import FinalAnswer, Memo, Retriever, SharedFiles
from cloche.runtime.errors import GuestException
from cloche.runtime.sandbox import Sandbox


def test_notes_outlive_the_programs() -> None:
    box = Sandbox(tools=Memo().tools())
    box.run("memo_set('plan', 'buy bells')").unwrap()
    assert box.run("memo_list(), memo_get('plan')").unwrap() == (["plan"], "buy bells")
    code = "try:\n    memo_get('nope')\nexcept KeyError as error:\n    seen = str(error)\nseen"
    assert "nothing is kept under 'nope'" in box.run(code).unwrap()


def test_files_go_in_and_out(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("name,price\nbell,3\nglass,4\n", encoding="utf-8")
    out = tmp_path / "out"
    out.mkdir()
    code = """
import csv, io
rows = list(csv.DictReader(io.StringIO(read_file("data.csv").decode())))
save_file("total.txt", str(sum(int(row["price"]) for row in rows)))
"""
    box = Sandbox(tools=SharedFiles([tmp_path / "data.csv"], out).tools())
    assert box.run(code).unwrap() == "total.txt"
    assert (out / "total.txt").read_text(encoding="utf-8") == "7"

    error = box.run("read_file('../../etc/passwd')").error
    assert isinstance(error, GuestException)
    assert error.type_name == "FileNotFoundError"
    assert str(tmp_path) not in error.message


def test_passages_can_be_worked_with() -> None:
    box = Sandbox(tools=[Retriever(["Bells are cast from bronze.", "Glass is made from sand."])])
    assert box.run("[p['text'] for p in retrieve('what is glass made from')][0]").unwrap() == "Glass is made from sand."


def test_the_answer_is_the_hosts_to_keep() -> None:
    answer = FinalAnswer()
    Sandbox(tools=[answer]).run("final_answer({'bells': [1, 2]})").unwrap()
    assert answer.answer == {"bells": [1, 2]}


def test_text_to_sql(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy", reason="the extra 'sql' is not installed")
    from cloche.host_tools.builtin import SqlQuery

    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.executescript("CREATE TABLE sales (item TEXT, price REAL); INSERT INTO sales VALUES ('bell', 3.5)")
    connection.close()
    box = Sandbox(tools=[SqlQuery(f"sqlite:///{tmp_path / 'shop.db'}")])

    shown: Any = box.run("help(sql_query)").stdout
    assert box.run("sql_query('SELECT item, price * 2 AS twice FROM sales')").unwrap() == [
        {"item": "bell", "twice": 7.0}
    ]
    denied = box.run("sql_query('DROP TABLE sales')").error
    assert isinstance(denied, GuestException)
    assert denied.type_name == "ValueError"
    assert "sales(item TEXT, price REAL)" in shown
