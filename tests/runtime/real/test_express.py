"""Usual runs in one call of C: as in Python in all that can be seen, and out of the way where a run is not usual."""
# pyright: reportPrivateUsage=false

import random
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import FrameType
from typing import Any

import pytest
from tests.runtime.checked import PureImage

from cloche import Limits, Recorder, Sandbox, Session, Suspended, ToolRegistry, tool
from cloche.runtime.errors import Interrupted, SessionBusy, SessionClosed
from cloche.runtime.rollback import journal
from cloche.runtime.session.express import Express
from cloche.runtime.threads import guest_threads
from cloche.runtime.wasm import native, signals
from cloche.runtime.wasm.cache import CompiledCache
from cloche.runtime.wasm.image import DEFAULT_IMAGE
from cloche.runtime.wasm.machine import ImageSource

pytestmark = pytest.mark.skipif(native.host is None, reason="there is no extension here")

PATIENCE = 60.0


@tool(blocking=False)
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def slow_add(a: int, b: int) -> int:
    """Add two numbers, on another thread."""
    return a + b


@tool(blocking=False)
def fail(text: str) -> None:
    """Raise."""
    raise ValueError(text)


PROGRAMS = [
    "x = 1",
    "x = 1\nx",
    "n += 1\nn",
    "[n, 'text', {'k': 1.5, 'b': b'bytes'}, None, True]",
    "'long' * 50",
    "(1, 2)",
    "{1: 2}",
    "float('nan')",
    "2 ** 70",
    "print('out', n)",
    "import sys; print('err', file=sys.stderr)",
    "1 / 0",
    "lambda: 0",
    "syntax error",
    "import time; time.time() > 0",
    "import random; 0 <= random.random() < 1",
    "add(n, 1)",
    "sum(add(i, 1) for i in range(5))",
    "slow_add(1, 2)",
    "fail('x')",
    "add('no')",
    "'\\ud800'",
    "'ä' * 3",
    "raise SystemExit(3)",
    "import sys; sys.exit()",
    "while True: n += 1",
    "def f(): return f()\nf()",
    "bytearray(80_000_000)",
    "'x' * 20_000",
    "# " + "long " * 4_000,
]


@pytest.fixture(scope="module")
def box() -> Sandbox:
    return Sandbox(tools=[add, slow_add, fail], limits=Limits(time=PATIENCE, fuel=3_000_000))


@lru_cache(maxsize=1)
def pure_source() -> ImageSource:
    """The image, with all of its host in Python."""
    return ImageSource(PureImage(DEFAULT_IMAGE, CompiledCache()))


def express_runs(session: Session) -> int:
    """Return how many runs C has performed since the session was last used in another way."""
    express = session._express
    return 0 if express is None else express.runner.collect(False)[0]


def warm(session: Session) -> Session:
    session.run("n = 0")
    assert session._express is not None
    return session


def outcome(session: Session, code: str) -> list[Any]:
    result = session.run(code)
    usage = result.usage
    calls = [(call.name, call.args, call.kwargs, call.value, call.outcome, repr(call.error)) for call in result.calls]
    error = None if result.error is None else (type(result.error), str(result.error))
    counted = (usage.fuel, usage.memory_peak, usage.output_bytes, usage.calls)
    seen = [repr(result.value), error, result.stdout, result.stderr, counted, calls]
    return [*seen, result.rolled_back, result.exit_code, session.spent._replace(time=0.0)]


def act(session: Session, what: int, code: str) -> list[Any]:
    if what == 0:
        session.set("n", 5)
        return [session.get("n")]
    if what == 1:
        return [bytes(session.snapshot()) != b""]
    if what == 2:
        fork = session.fork()
        with fork:
            return outcome(fork, code)
    return outcome(session, code)


@pytest.fixture(scope="module")
def pure(box: Sandbox) -> Sandbox:
    """The same sandbox."""
    limits = Limits(time=PATIENCE, fuel=3_000_000)
    return Sandbox(tools=[add, slow_add, fail], limits=limits, source=pure_source())


def test_it_is_the_same_as_in_python(box: Sandbox, pure: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    # A copy of the memory now and then, so that the journal of both kinds of runs begins anew.
    monkeypatch.setattr(journal, "_MAX_ENTRIES", 7)
    chance = random.Random(26)
    steps = [(chance.randrange(20), chance.choice(PROGRAMS)) for _ in range(150)]
    steps += [(9, code) for code in PROGRAMS for _ in range(3)]
    with box.session() as session, pure.session() as plain:
        for step in steps:
            assert act(session, *step) == act(plain, *step), step
        assert plain._express is None


@pytest.fixture(autouse=True)
def _no_thread_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a tool of an earlier test still blocks a thread, runs are made in Python."""
    monkeypatch.setattr(guest_threads, "left_behind", set())


def test_usual_runs_are_made_in_c(box: Sandbox) -> None:
    with box.session() as session:
        warm(session)
        made, in_c, give_up = 1, 0, time.monotonic() + PATIENCE
        while in_c < 3:
            # On a busy machine, many runs find that the watch has to be woken, which is done in Python.
            assert time.monotonic() < give_up
            assert session.run(f"n = {made}\nn").value == made
            made += 1
            in_c = max(in_c, express_runs(session))
        assert session.spent.runs == made


def test_a_process_that_has_greenlets_has_them_too(box: Sandbox) -> None:
    greenlet = pytest.importorskip("greenlet", reason="needs greenlet, which SQLAlchemy and gevent bring")
    with box.session() as session:
        warm(session)
        give_up = time.monotonic() + PATIENCE
        while not express_runs(session):
            assert time.monotonic() < give_up
            session.run("n += 1")
        # In one of them no guest can run: the run goes to a thread.
        assert greenlet.greenlet(lambda: session.run("n = -1\nn").value).switch() == -1
        assert session.run("n").value == -1


def test_what_they_did_is_repeated_after_a_lost_run(box: Sandbox) -> None:
    with box.session() as session:
        warm(session)
        for _ in range(5):
            session.run("n += 1")
        lost = session.run("n = 100\nwhile True: pass")
        assert lost.rolled_back
        assert session.run("n").value == 5
        assert session.spent.runs == 8


CALLS = [
    "add({0}, 1)",
    "add(a={0}, b=2)",
    "add({0}, 'no')",
    "add()",
    "echo({0})",
    "echo('{0}' * 9)",
    "echo({{'k': [{0}, None, True, 1.5, b'b']}})",
    "echo(({0}, 1))",
    "echo({{{0}: 1}})",
    "echo({0} * 2 ** 62)",
    "echo('\\ud800')",
    "hold({0})",
    "later({0})",
    "odd({0})",
    "fail('{0}')",
    "fail('long' * 20)",
]


@tool(blocking=False)
def echo(value: Any) -> Any:
    """Return the value."""
    return value


@tool(blocking=False)
def hold(value: int) -> Any:
    """Return what is no plain value, or none that can be sent."""
    return [(value,), {value}, object(), Text("x"), [[]], {"a": {value: value}}, "ä" * value][value % 7]


class Text(str):
    """Not exactly text."""


@tool
async def later(value: int) -> int:
    """Return the value, from a loop."""
    return value


@tool(blocking=False)
def odd(value: int) -> int:
    """Raise in odd ways."""
    raise [SystemExit(value), RecursionError("deep"), StopIteration(), KeyError("k")][value % 4]


def a_program(chance: random.Random) -> str:
    lines = ["seen = []"]
    for _ in range(chance.randrange(1, 12)):
        call = chance.choice(CALLS).format(chance.choice([0, 1, 2, 3, 4, 5, 6, 127, 300, 70_000]))
        call = f"await {call}" if call.startswith("later") else call
        lines += ["try:", f"    seen.append({call})", "except BaseException as e:", "    seen.append(repr(e)[:80])"]
    return "\n".join([*lines, "repr(seen)"])


def test_calls_are_the_same_as_in_python() -> None:
    tools = [add, echo, hold, later, odd, fail]
    limits = Limits(time=PATIENCE, calls=9)
    box, other = Sandbox(tools=tools, limits=limits), Sandbox(tools=tools, limits=limits, source=pure_source())
    chance = random.Random(11)
    with box.session() as session, other.session() as plain:
        for number in range(120):
            program = a_program(chance)
            assert plainly(session, program) == plainly(plain, program), program
            if number % 40 == 39:
                # What was answered is played back, and no tool is called again.
                assert session.run("add(1, 2)\nwhile True: pass", limits=limits.replace(fuel=2_000_000)).rolled_back
                plain.run("add(1, 2)\nwhile True: pass", limits=limits.replace(fuel=2_000_000))
                assert session.run("seen").value == plain.run("seen").value


def plainly(session: Session, code: str) -> list[Any]:
    """Return the outcome, without the addresses of objects."""
    return [re.sub("0x[0-9a-f]+", "0x", repr(part)) for part in outcome(session, code)]


def test_usual_calls_count_for_the_host_s_memory() -> None:
    limits = Limits(time=PATIENCE, fuel=None, host_memory="1 MiB", calls=None)
    with Sandbox(tools=[add], limits=limits).session() as session:
        warm(session)
        result = session.run("for i in range(3_000): add(i, 1)")
        assert type(result.error).__name__ == "HostMemoryExceeded"
        assert 1_600 < result.usage.calls < 1_700


def test_a_tool_that_takes_too_long_ends_the_run() -> None:
    @tool(blocking=False)
    def wait() -> int:
        """Take longer than the run may."""
        time.sleep(0.3)
        return 1

    with Sandbox(tools=[wait], limits=Limits(time=0.2, fuel=None)).session() as session:
        warm(session)
        result = session.run("x = wait()\nn = 1")
        assert type(result.error).__name__ == "TimeExceeded"
        assert session.run("n").value == 0


def test_without_rollback_they_keep_nothing(box: Sandbox) -> None:
    with box.session(rollback=False) as session:
        warm(session)
        assert session.run("n + 1").value == 1
        session.run("while True: pass")
        with pytest.raises(SessionClosed):
            session.run("1")


def test_the_program_s_lines_are_in_its_tracebacks(box: Sandbox) -> None:
    with box.session() as session:
        warm(session)
        session.run("def f():\n    return 1 / 0")
        session.run("2")
        assert "return 1 / 0" in str(getattr(session.run("f()").error, "traceback", ""))


@pytest.mark.parametrize("seed", [None, 1])
def test_what_is_not_usual_is_made_in_python(box: Sandbox, seed: int | None) -> None:
    with Sandbox(seed=seed, clock=0.0).session() as repeatable:
        repeatable.run("n = 0")
        assert repeatable._express is None
    with box.session(recorder=Recorder()) as recorded:
        recorded.run("n = 0")
        assert recorded._express is None
    with box.session(single_run=True) as single:
        # Which may have something to wind up.
        single.run("import json")
        assert single._express is None


def test_a_new_tool_is_told_to_the_guest() -> None:
    tools = ToolRegistry([add])
    with Sandbox(tools=tools).session() as session:
        warm(session)
        session.run("1")
        tools["late"] = tool(late)
        assert session.run("late()").value == 7


def late() -> int:
    """Return seven."""
    return 7


def test_another_thread_and_other_arguments(box: Sandbox) -> None:
    with box.session() as session:
        warm(session)
        values: list[Any] = []
        thread = threading.Thread(target=lambda: values.append(session.run("n").value))
        thread.start()
        thread.join(PATIENCE)
        assert values == [0]
        assert session.run("input()", stdin="text").value == "text"
        assert session.run("n", limits=Limits(fuel=5_000_000)).value == 0
        events: list[Any] = []
        session.run("print(1)", on_event=events.append)
        assert events
        assert session.run("n").value == 0


def test_a_suspended_program_is_in_the_way(box: Sandbox) -> None:
    with box.session() as session:
        warm(session)
        suspended = session.start("add(1, 2)", step=True)
        assert isinstance(suspended, Suspended)
        with pytest.raises(Exception, match="suspended"):
            session.run("n")
        suspended.approve(*(call.id for call in suspended.calls))
        assert session.run("n").value == 0


def computing(session: Session, then: Callable[[], None]) -> Any:
    """Have ``then`` done by another thread once a run of the session is in progress; return what the run was like."""

    def wait() -> None:
        give_up = time.monotonic() + PATIENCE
        while session._guest.holder is None and time.monotonic() < give_up:
            time.sleep(0.001)
        then()

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        return session.run("while True: pass")
    finally:
        thread.join(PATIENCE)


@pytest.fixture
def endless() -> Iterator[Session]:
    with Sandbox(tools=[add], limits=Limits(time=PATIENCE, fuel=None)).session() as session:
        yield warm(session)


def test_another_thread_interrupts_it(endless: Session) -> None:
    interrupted: list[bool] = []
    result = computing(endless, lambda: interrupted.append(endless.interrupt()))
    assert interrupted == [True]
    assert isinstance(result.error, Interrupted)
    assert result.rolled_back
    assert endless.run("n").value == 0
    assert not endless.interrupt()


def test_another_thread_finds_it_busy_and_closes_it(endless: Session) -> None:
    seen: list[BaseException] = []

    def disturb() -> None:
        try:
            endless.run("1")
        except SessionBusy as error:
            seen.append(error)
        endless.close()

    assert isinstance(computing(endless, disturb).error, Interrupted)
    assert len(seen) == 1
    with pytest.raises(SessionClosed):
        endless.run("1")


def test_its_deadline() -> None:
    with Sandbox(limits=Limits(time=0.2, fuel=None)).session() as session:
        warm(session)
        result = session.run("while True: pass")
        assert type(result.error).__name__ == "TimeExceeded"
        assert session.run("n").value == 0


class Signalled(Exception):
    """Raised by a signal's handler."""


def test_a_signal_s_handler_ends_it(endless: Session) -> None:
    def handle(_number: int, _frame: FrameType | None) -> None:
        raise Signalled

    before = signal.signal(signal.SIGUSR1, handle)
    main = threading.main_thread().ident or 0
    try:
        with pytest.raises(Signalled):
            computing(endless, lambda: signal.pthread_kill(main, signal.SIGUSR1))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert endless.run("n").value == 0
    assert signal.getsignal(signal.SIGUSR1) is before


def test_a_tool_that_runs_other_sessions(box: Sandbox) -> None:
    inner = warm(box.session())

    @tool(blocking=False)
    def nested(code: str) -> int:
        """Run a program elsewhere."""
        value: int = inner.run(code).value
        return value

    with inner, Sandbox(tools=[nested]).session() as outer:
        warm(outer)
        assert outer.run("[nested('n + 1'), nested('add(n, 2)'), n]").value == [1, 2, 0]
        assert outer.run("n").value == 0


def test_a_tool_that_uses_its_own_session() -> None:
    held: list[Session] = []

    @tool(blocking=False)
    def again() -> str:
        """Run a program in the session that calls."""
        try:
            held[0].run("1")
        except SessionBusy:
            return "busy"
        return "ran"

    with Sandbox(tools=[again]).session() as session:
        held.append(warm(session))
        assert session.run("again()").value == "busy"
        assert session.run("n").value == 0
    held.clear()


def test_what_is_not_a_program() -> None:
    with Sandbox().session() as session:
        warm(session)
        for code in (b"1", None, 5):
            with pytest.raises(Exception, match="not a program"):
                session.run(code)  # type: ignore[arg-type]


def test_the_guest_is_freed_with_the_last_reference(box: Sandbox) -> None:
    import weakref

    session = warm(box.session())
    session.run("1")
    session.run("print(1)")
    gone = weakref.ref(session._guest)
    del session
    assert gone() is None


@pytest.mark.parametrize("program", ["while True: n += 1", "add(n, 1)\nwhile True: n += 1", "def f(): return f()\nf()"])
@pytest.mark.parametrize("rollback", [True, False])
@pytest.mark.parametrize("left_behind", [set[object](), {object()}], ids=["in-c", "in-python"])
def test_a_guest_that_was_ended_is_freed(
    box: Sandbox, program: str, rollback: bool, left_behind: set[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    import gc
    import weakref

    # Where a thread is left behind, the runner declines.
    monkeypatch.setattr(guest_threads, "left_behind", left_behind)
    session = box.session(rollback=rollback)
    session.run("n = 0")
    ended = weakref.ref(session._guest.ready().machine)
    session.run(program)
    gone = weakref.ref(session._guest)
    session.close()
    del session
    # While another thread collects, a collection that is asked for is none.
    until = time.monotonic() + 30
    while ended() is not None and time.monotonic() < until:
        gc.collect()
        time.sleep(0.01)
    assert ended() is None
    assert gone() is None


def test_the_runs_before_one_that_is_given_up_stay(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("no memory")

    with box.session() as session:
        warm(session)
        for number in range(5):
            session.run(f"n = {number}")
        monkeypatch.setattr(Express, "served", fail)
        with pytest.raises(RuntimeError):
            session.run("n = 9\nadd(n, 1)")
        monkeypatch.undo()
        assert session.run("n").value == 4
        assert session.spent.runs >= 7


def deep(levels: int, session: Session, code: str) -> Any:
    return session.run(code) if levels == 0 else deep(levels - 1, session, code)


@pytest.mark.parametrize("code", ["1", "print(n)", "1 / 0", "add(1, 2)", "'x' * 50"])
@pytest.mark.parametrize("which", ["box", "pure"])
def test_a_caller_that_is_deep_in_a_recursion(which: str, code: str, request: pytest.FixtureRequest) -> None:
    limit, refused = sys.getrecursionlimit(), 0
    with request.getfixturevalue(which).session() as session:
        session.run("n = 0")
        for levels in range(limit - 200, limit):
            try:
                deep(levels, session, code)
            except RecursionError:
                refused += 1
            # Not taken for ever, nor lost.
            assert session.run("n").value == 0
    assert 0 < refused < 200
    assert signals.main.deferral is None
