"""What survives a snapshot: everything, here and in another process."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cloche import Sandbox, Session, Snapshot, ToolRegistry

BOX = Sandbox()

STATES = {
    "half-consumed generator": (
        "def count():\n    n = 10\n    while True:\n        n += 1\n        yield n\ng = count(); next(g)",
        "next(g), next(g)",
        (12, 13),
    ),
    "closure": (
        "def outer():\n    n = 5\n    def inner():\n        nonlocal n\n        n += 1\n        return n\n"
        "    return inner\nf = outer(); f()",
        "f()",
        7,
    ),
    "class and instance": (
        "class Point:\n    made = 0\n    def __init__(self, x):\n        self.x = x; Point.made += 1\np = Point(3)",
        "isinstance(p, Point), p.x, Point.made, Point(4).x, Point.made",
        (True, 3, 1, 4, 2),
    ),
    "open file in memory": (
        "import io\nb = io.StringIO(); _ = b.write('abc')\n"
        "h = open('/work/t', 'w+'); _ = h.write('hello'); _ = h.seek(2)",
        "b.getvalue(), h.read(), open('/work/t').read()",
        ("abc", "llo", "hello"),
    ),
    "iterators": (
        "i = iter([1, 2, 3]); next(i); z = zip('ab', [1, 2]); next(z)\n"
        "import itertools; c = itertools.count(7); next(c)\nd = iter({'p': 1, 'q': 2}); next(d)",
        "list(i), list(z), next(c), list(d)",
        ([2, 3], [("b", 2)], 8, ["q"]),
    ),
    "state of modules": (
        "import decimal, sys, json\ndecimal.getcontext().prec = 5\nsys.marker = 'here'\njson.mine = 3",
        "str(decimal.Decimal(1) / 3), sys.marker, json.mine",
        ("0.33333", "here", 3),
    ),
    "suspended coroutine": (
        "class Pause:\n    def __await__(self):\n        return (yield 'asked')\n"
        "async def work():\n    return 'got ' + await Pause()\nc = work(); asked = c.send(None)\n"
        "def finish():\n    try:\n        c.send('it')\n    except StopIteration as end:\n        return end.value",
        "asked, finish()",
        ("asked", "got it"),
    ),
    "decompressor": (
        "import zlib\nd = zlib.decompressobj(); p = zlib.compress(b'x' * 100)\nfirst = d.decompress(p[:4])",
        "len(first + d.decompress(p[4:]))",
        100,
    ),
    "an exception being handled later": (
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    kept = e",
        "type(kept).__name__, kept.__traceback__.tb_lineno",
        ("ZeroDivisionError", 2),
    ),
    "cycles and weak references": (
        "import weakref\nclass N: pass\na = N(); a.me = a; r = weakref.ref(a)",
        "r() is a, a.me is a",
        (True, True),
    ),
}


def made(code: str) -> Session:
    session = BOX.session()
    session.run(code).unwrap()
    return session


@pytest.mark.parametrize("name", STATES)
def test_it_survives(name: str) -> None:
    code, question, answer = STATES[name]
    with made(code) as session:
        snapshot = Snapshot.from_bytes(bytes(session.snapshot()))
        with BOX.restore(snapshot) as restored, session.fork() as fork:
            assert restored.run(question).unwrap() == answer
            assert fork.run(question).unwrap() == answer
        assert session.run(question).unwrap() == answer


ELSEWHERE = """
import sys
from cloche import Sandbox
session = Sandbox().restore(open(sys.argv[1], "rb").read())
print(session.run(sys.argv[2]).unwrap())
"""


def elsewhere(path: Path, question: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, path, question], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_survives_in_another_process(tmp_path: Path) -> None:
    # Each state has variables of its own, so all of them fit in one session.
    with BOX.session() as session:
        for index, (code, _, _) in enumerate(STATES.values()):
            session.run(f"space{index} = {{}}\nexec({code!r}, space{index})").unwrap()
        session.snapshot().save(tmp_path / "session")
    questions = ", ".join(f"eval({state[1]!r}, space{index})" for index, state in enumerate(STATES.values()))
    expected = [state[2] for state in STATES.values()]
    assert elsewhere(tmp_path / "session", f"[{questions}]") == str(expected)


def test_memory_that_has_grown_survives() -> None:
    with made("big = {i: str(i) for i in range(100_000)}; rest = bytearray(30_000_000)") as session:
        with BOX.restore(session.snapshot()) as restored:
            assert restored.run("len(big), big[77_777], len(rest)").unwrap() == (100_000, "77777", 30_000_000)
        with session.fork() as fork:
            assert fork.run("len(big), big[77_777], len(rest)").unwrap() == (100_000, "77777", 30_000_000)


def test_a_session_that_never_ran_has_a_snapshot() -> None:
    with BOX.session() as session, BOX.restore(session.snapshot()) as restored:
        assert restored.run("1 + 1").unwrap() == 2


def test_a_snapshot_of_a_restored_session_that_did_not_run_is_the_same_memory() -> None:
    with made("x = [1, 2]") as session:
        first = session.snapshot()
        with BOX.restore(first) as restored:
            assert restored.snapshot().body == first.body


def test_files_survive() -> None:
    with BOX.session() as session:
        session.put_file("data/a.bin", b"\0\1\2")
        with BOX.restore(session.snapshot()) as restored:
            assert restored.get_file("data/a.bin") == b"\0\1\2"


def test_forks_go_on_independently() -> None:
    with made("x = [0]") as session:
        forks = session.fork(3)
        for number, fork in enumerate(forks):
            fork.run(f"x.append({number})").unwrap()
        assert [fork.get("x") for fork in forks] == [[0, 0], [0, 1], [0, 2]]
        assert session.get("x") == [0]
        assert session.fork(0) == []
        for fork in forks:
            fork.close()


def test_a_restored_session_is_rolled_back_to_where_it_was_restored() -> None:
    with made("x = 1") as session, BOX.restore(session.snapshot()) as restored, session.fork() as fork:
        for each in (restored, fork):
            result = each.run("x = 2\nwhile True: pass", limits=BOX.limits.replace(fuel=50_000_000))
            assert result.rolled_back
            assert each.run("x").unwrap() == 1
            assert each.run("x += 1; x").unwrap() == 2


def test_a_session_that_was_rolled_back_can_be_taken_and_forked() -> None:
    with made("x = 1") as session:
        assert session.run("while True: pass", limits=BOX.limits.replace(fuel=50_000_000)).rolled_back
        with BOX.restore(session.snapshot()) as restored, session.fork() as fork:
            assert (restored.get("x"), fork.get("x")) == (1, 1)


def test_a_session_without_rollback_can_be_taken_forked_and_restored() -> None:
    with BOX.session(rollback=False) as session:
        session.run("x = 1").unwrap()
        with BOX.restore(session.snapshot(), rollback=False) as restored, session.fork() as fork:
            assert (restored.get("x"), fork.get("x")) == (1, 1)
            restored.run("while True: pass", limits=BOX.limits.replace(fuel=50_000_000))
            assert "ended" in repr(restored)


@pytest.mark.parametrize("metering", ["epoch", "none"])
def test_metering_does_not_matter(metering: Any) -> None:
    other = Sandbox(metering=metering)
    with made("x = [1]") as session, other.restore(session.snapshot()) as restored:
        assert restored.get("x") == [1]
        with BOX.restore(restored.snapshot()) as again:
            assert again.get("x") == [1]


def test_tools_are_the_sandboxs() -> None:
    def look(at: str) -> str:
        return f"a {at}"

    with Sandbox(tools=[look]).session() as session:
        session.run("first = look('cat')").unwrap()
        snapshot = session.snapshot()
    assert snapshot.tools == ("look",)
    with Sandbox(tools=[look]).restore(snapshot) as restored:
        assert restored.run("first, look('dog')").unwrap() == ("a cat", "a dog")
    with BOX.restore(snapshot) as restored:
        error = restored.run("look('dog')").error
        assert error is not None
        assert "look" in str(error)


async def in_async(session: Session) -> list[Any]:
    snapshot, twins = await session.asnapshot(), await session.afork(2)
    twin = await session.afork()
    async with await BOX.arestore(snapshot) as restored:
        there = await restored.aget("x")
    return [there, *(each.get("x") for each in [*twins, twin])]


def test_async_twins() -> None:
    import asyncio

    with made("x = 5") as session:
        assert asyncio.run(in_async(session)) == [5, 5, 5, 5]


def test_systems_that_cannot_tell_written_pages_make_the_same_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    def everything(view: memoryview) -> list[tuple[int, int]]:
        return [(0, len(view))]

    with made("x = list(range(1000))") as session:
        first = session.snapshot()
        monkeypatch.setattr("cloche.runtime.wasm.machine.written_spans", everything)
        assert session.snapshot().body == first.body
        with BOX.restore(first) as restored, session.fork() as fork:
            assert (restored.get("x"), fork.get("x")) == (list(range(1000)), list(range(1000)))


@pytest.mark.parametrize(
    ("code", "most"),
    [("x = 1", 150_000), ("x = list(range(1_000_000))", 36_000_000), ("x = bytes(10_000_000)", 200_000)],
)
def test_a_snapshot_is_no_larger_than_it_must_be(code: str, most: int) -> None:
    with made(code) as session:
        assert len(session.snapshot()) < most


def test_what_a_closed_guest_leaves_is_in_no_snapshot() -> None:
    secret = "hunter2" * 50
    with BOX.session() as other:
        other.set("secret", secret)
    with made("x = 1") as session, BOX.restore(session.snapshot()) as restored:
        machine = restored._guest.ready().machine  # pyright: ignore[reportPrivateUsage]
        assert secret.encode() not in bytes(machine.view())


def test_tools_that_changed_meanwhile_are_described_anew() -> None:
    def look() -> str:
        return "a cat"

    def peek() -> str:
        return "a mouse"

    registry = ToolRegistry([look])
    box = Sandbox(registry)
    with box.session() as session:
        session.run("look()").unwrap()
        snapshot = session.snapshot()
    registry.add(peek)
    for _ in range(2):
        with box.restore(snapshot) as restored:
            assert restored.run("look(), peek()").unwrap() == ("a cat", "a mouse")
