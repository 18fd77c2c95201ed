"""The tables of docs/limits/suspension.md, line by line."""

import re
from pathlib import Path

import pytest

from cloche import GuestException, Suspended

from .stopping import BOX, finish, moved

PAGE = Path(__file__).parents[4] / "docs/limits/suspension.md"
IMPORTS = (
    "import asyncio, contextlib, contextvars, functools, json, re; "
    "manager = contextlib.contextmanager(lambda: ((yield ask(1)), ask(1))[1])\n"
)
ROW = re.compile(r"^\| (.+?) \| `(.+)` \| `(.+)` \|$", re.MULTILINE)


def rows(title: str) -> list[tuple[str, str, str]]:
    """The rows of the table below a heading."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return ROW.findall(section)


WORKS, RAISES = rows("Works"), rows("Raises CannotSuspendHere")


def test_the_tables_are_found() -> None:
    assert len(WORKS) == 22
    assert len(RAISES) == 9


@pytest.mark.parametrize(("place", "example", "value"), WORKS, ids=[row[0] for row in WORKS])
def test_works(place: str, example: str, value: str) -> None:
    with BOX.session() as session:
        paused = session.start(IMPORTS + example, step=True)
        assert isinstance(paused, Suspended)
        result = finish(paused)
        assert repr(result.unwrap()) == value


@pytest.mark.parametrize(("place", "example", "instead"), RAISES, ids=[row[0] for row in RAISES])
def test_raises(place: str, example: str, instead: str) -> None:
    with BOX.session() as session:
        result = finish(session.start(IMPORTS + example, step=True))
        assert isinstance(result.error, GuestException)
        assert result.error.type_name == "CannotSuspendHere"
        assert "ask() has to wait for its answer" in result.error.message
        assert f"at line 2: `{example[:40]}" in result.error.message
        assert [record.outcome for record in result.calls] == ["cancelled"]
        assert finish(session.start(IMPORTS + instead, step=True)).error is None


MAIN = "import asyncio\nasync def main():\n    await asyncio.sleep(0)\n    return ask(1)\n"


@pytest.mark.parametrize("end", ["ask(1) + await main()", "asyncio.run(main()) + ask(1)"])
def test_a_plain_call_in_the_outermost_coroutine(end: str) -> None:
    with BOX.session() as session:
        assert finish(session.start(MAIN + end, step=True)).value == 20


TASK = "async def outer():\n    return await asyncio.create_task(main())\nasyncio.run(outer())"


@pytest.mark.parametrize("end", ["(await asyncio.gather(main()))[0]", TASK], ids=["gather", "create_task"])
def test_a_plain_call_in_a_task(end: str) -> None:
    with BOX.session() as session:
        for call in ("ask(1)", "await asyncio.to_thread(ask, 1)"):
            code = (MAIN + end).replace("ask(1)", call)
            assert finish(session.start(code, step=True)).value == 10


def test_a_plain_call_in_a_task_that_was_cancelled_before_it_began() -> None:
    code = (
        "import asyncio\nasync def f():\n    return 1\n"
        "task = asyncio.create_task(f())\ntask.cancel()\n"
        "try:\n    await task\nexcept asyncio.CancelledError:\n    got = ask(1)\ngot"
    )
    with BOX.session() as session:
        assert finish(session.start(code, step=True)).value == 10


def test_a_plain_call_where_a_task_handles_what_it_awaited() -> None:
    code = (
        "import asyncio\nasync def f():\n    try:\n        await asyncio.sleep(60)\n"
        "    except asyncio.CancelledError:\n        return ask(1)\n    finally:\n        ask(2)\n"
        "task = asyncio.create_task(f())\nawait asyncio.sleep(0)\ntask.cancel()\nawait task"
    )
    with BOX.session() as session:
        assert finish(session.start(code, step=True)).value == 10


OTHERS = {
    "an imported module": "open('/work/m.py', 'w').write('import __main__\\n__main__.ask(1)')\nimport m",
    "an asynchronous generator": "async def g():\n    yield ask(1)\nasync for x in g():\n    pass",
    "what is left of a generator": (
        "def g():\n    try:\n        yield 1\n    finally:\n        ask(1)\n"
        "it = g()\nfor x in it:\n    break\nit.close()"
    ),
    "contextlib, by an exception": (
        "import contextlib\n@contextlib.contextmanager\ndef c():\n    try:\n        yield\n    finally:\n"
        "        ask(1)\nwith c():\n    1 / 0"
    ),
    "a map that has a name": "m = map(ask, [1])\nfor x in m:\n    pass",
    "a key for several arguments": "max(1, 2, key=ask)",
}


@pytest.mark.parametrize("code", OTHERS.values(), ids=OTHERS)
def test_others_below_c(code: str) -> None:
    with BOX.session() as session:
        result = finish(session.start(code, step=True))
        assert isinstance(result.error, GuestException)
        assert result.error.type_name == "CannotSuspendHere"


def test_an_asynchronous_generator_may_await() -> None:
    code = "async def g():\n    yield await aask(1)\nout = []\nasync for x in g():\n    out.append(x)\nout"
    with BOX.session() as session:
        assert finish(session.start(code, step=True)).value == [10]


def test_which_random_numbers_go_on() -> None:
    code = (
        "import random\nrandom.seed(5)\nown = random.Random(5)\nask(1)\n"
        "expected = random.Random(5).random()\n[random.random() == expected, own.random() == expected]"
    )
    with BOX.session() as session:
        paused = session.start(code, step=True)
        assert isinstance(paused, Suspended)
        assert finish(moved(paused)).value == [True, True]
        assert finish(paused).value == [True, True]


def test_inside_the_block_of_contextlib() -> None:
    code = "import contextlib\n@contextlib.contextmanager\ndef c():\n    yield 1\nwith c():\n    v = ask(1)\nv"
    with BOX.session() as session:
        assert finish(session.start(code, step=True)).value == 10


def test_the_program_can_catch_it_and_go_on() -> None:
    code = "try:\n    set(*[map(ask, [2, 1])])\nexcept CannotSuspendHere:\n    got = [ask(i) for i in (2, 1)]\ngot"
    with BOX.session() as session:
        assert finish(session.start(code, step=True)).value == [20, 10]


def test_traced_programs_are_sound() -> None:
    code = (
        "import sys\nseen = []\nsys.settrace(lambda *a: seen.append(1))\n"
        "def f(n):\n    return ask(n)\nout = [f(i) for i in range(3)]\nsys.settrace(None)\nout"
    )
    with BOX.session() as session:
        assert finish(session.start(code, step=True)).value == [0, 10, 20]
