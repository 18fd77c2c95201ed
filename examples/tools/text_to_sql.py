"""A program asks a real database through one read-only tool."""

import sqlite3
import tempfile
from pathlib import Path

from cloche import Sandbox
from cloche.host_tools.builtin import SqlQuery

PROGRAM = """
rows = sql_query("SELECT customer, sum(price + tip) AS spent FROM receipts GROUP BY customer ORDER BY spent DESC")
print(f"{rows[0]['customer']} spent the most: {rows[0]['spent']:.2f}")
try:
    sql_query("DROP TABLE receipts")
except ValueError as error:
    print(error)
"""


def main() -> None:
    """Make a database, and run a program as a model would write it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "receipts.db"
        connection = sqlite3.connect(path)
        connection.executescript(
            "CREATE TABLE receipts (id INTEGER PRIMARY KEY, customer TEXT, price REAL, tip REAL);"
            "INSERT INTO receipts (customer, price, tip) VALUES"
            " ('Alan Payne', 12.06, 1.20), ('Alex Mason', 23.86, 0.24), ('Woodrow Wilson', 53.43, 5.43);"
        )
        connection.close()
        query = SqlQuery(f"sqlite:///{path}")
        print(query.spec()["doc"].splitlines()[-1].strip())
        print(Sandbox(tools=[query]).run(PROGRAM).stdout, end="")


if __name__ == "__main__":
    main()
