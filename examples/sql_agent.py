"""Text to SQL: the agent sees the tables, writes a query, reads the error of a wrong one, and puts it right."""

import sqlite3
import tempfile
from pathlib import Path

from models import code, model_or

from cloche.agent import CodeAgent
from cloche.host_tools.builtin import SqlQuery

TABLES = """
CREATE TABLE waiter (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE receipt (id INTEGER PRIMARY KEY, waiter_id INTEGER REFERENCES waiter, price REAL, tip REAL);
INSERT INTO waiter VALUES (1, 'Margaret'), (2, 'Corey');
INSERT INTO receipt (waiter_id, price, tip) VALUES (1, 12.06, 1.2), (2, 23.86, 0.24), (1, 53.43, 5.43);
"""
LINES = [
    code("I sum up the tips.", "rows = sql_query('SELECT waiter, sum(tip) AS tips FROM receipt GROUP BY waiter')"),
    code(
        "The name is in the other table.",
        "rows = sql_query('SELECT name, sum(tip) AS tips FROM receipt JOIN waiter ON waiter.id = waiter_id"
        " GROUP BY name ORDER BY tips DESC')\nprint(rows)",
    ),
    code("Margaret.", "final_answer(f\"{rows[0]['name']}, with {rows[0]['tips']:.2f}\")"),
]


def main() -> None:
    """Make a database, ask the agent about it, and show what went wrong on the way."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "restaurant.db"
        connection = sqlite3.connect(path)
        connection.executescript(TABLES)
        connection.close()
        with CodeAgent([SqlQuery(f"sqlite:///{path}")], model_or(LINES)) as agent:
            print(agent.run("Which waiter got the most tips?"))
            for step in agent.memory.actions:
                print(f"step {step.number}: {step.error.message.splitlines()[0] if step.error else 'ok'}")


if __name__ == "__main__":
    main()
