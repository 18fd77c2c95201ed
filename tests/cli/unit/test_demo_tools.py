import asyncio
import sqlite3
from contextlib import ExitStack
from typing import cast

import pytest

from cloche.cli.demo.catalogue import PROGRAMS, demo_file
from cloche.cli.demo.tools import Database, DemoNotes, Desk, Prices, convert, factorial, prime_checker
from cloche.host_tools import ToolRegistry


def test_numbers() -> None:
    assert factorial(10) == 3_628_800
    assert [n for n in range(20) if prime_checker(n)] == [2, 3, 5, 7, 11, 13, 17, 19]
    assert convert(1, "mile", "kilometre") == pytest.approx(1.609344)
    for bad in (("mile", "litre"), ("mile", "parsec")):
        with pytest.raises(ValueError, match=r"unit|length"):
            convert(1, *bad)


def test_memos_do_not_share_notes() -> None:
    one, other = ToolRegistry(DemoNotes().tools()), ToolRegistry(DemoNotes().tools())
    one.call("memo_set", ["a", "1"], {})
    assert one.call("memo_list", [], {}) == ["a"]
    assert one.call("memo_get", ["a"], {}) == "1"
    assert other.call("memo_list", [], {}) == []


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM orders",
        "DROP TABLE orders",
        "INSERT INTO customers VALUES (9, 'x')",
        "ATTACH DATABASE '/tmp/stolen.db' AS stolen",
        "PRAGMA query_only = OFF",
        "SELECT load_extension('x')",
        "WITH x AS (SELECT 1) DELETE FROM orders",
    ],
)
def test_the_database_can_only_be_read(statement: str) -> None:
    database = Database()
    tools = ToolRegistry(database.tools())
    with pytest.raises(sqlite3.Error):
        tools.call("sql_query", [statement], {})
    assert tools.call("sql_query", ["SELECT count(*) AS n FROM orders"], {}) == [{"n": 5}]
    first, second = list(cast("list[str]", tools.call("sql_tables", [], {})))
    assert "customers" in first
    assert "orders" in second
    database.close()


def test_prices_are_asked_together() -> None:
    prices = Prices()
    (hotel_price,) = prices.tools()

    async def ask() -> list[int]:
        return list(await asyncio.gather(*(hotel_price(city) for city in ("Oslo", "Lima", "Oslo"))))

    oslo, lima, again = asyncio.run(ask())
    assert oslo == again != lima
    assert (prices.max_at_once, prices.at_once) == (3, 0)


def test_a_desk_that_goes_home_lets_its_callers_go() -> None:
    desk = Desk()
    desk.close()
    assert desk.tools()[0](order=1) is True


def test_every_program_is_there_and_named_once() -> None:
    names = [program.name for program in PROGRAMS]
    assert len(names) == len(set(names)) >= 12
    assert sum(program.naughty for program in PROGRAMS) >= 9
    for program in PROGRAMS:
        compile(program.source, program.name, "exec", flags=0x2000)  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        assert all(demo_file(name) for name in program.files)
        with ExitStack() as stack:
            ToolRegistry(program.tools(stack))


def test_no_program_is_forgotten() -> None:
    from importlib import resources

    folder = resources.files("cloche.cli.demo").joinpath("programs")
    assert {path.name for path in folder.iterdir() if path.name.endswith(".py")} == {
        f"{program.name}.py" for program in PROGRAMS
    }
