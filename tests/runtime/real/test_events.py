"""Events as they happen, by callback and by iteration; interrupts and cancelled tasks."""

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import Callable

import pytest
from tests.signals import send_within

from cloche.runtime.errors import Interrupted, TimeExceeded
from cloche.runtime.limits import Limits
from cloche.runtime.result import Event, Finished, Output, Result, ToolFinished, ToolStarted
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.session import Session

from .functions import Functions

PATIENCE = 60.0
LONG = Limits(fuel=None, time=PATIENCE)


def tool(x: int) -> int:
    return x + 1


PROGRAM = "import sys\nprint('one')\ny = tool(1)\nprint('twö', end='')\nsys.stderr.write('three\\n')\ny"


def shown(event: Event) -> tuple[str, object]:
    match event:
        case Output(stream, text):
            return stream, text
        case ToolStarted(record) | ToolFinished(record):
            return type(event).__name__, record.name
        case Finished(result):
            return "Finished", result.value


EXPECTED = [
    ("stdout", "one\n"),
    ("ToolStarted", "tool"),
    ("ToolFinished", "tool"),
    ("stdout", "twö"),
    ("stderr", "three\n"),
]


@pytest.fixture(scope="module")
def box() -> Sandbox:
    return Sandbox(tools=Functions(tool))


def test_events_by_callback(box: Sandbox) -> None:
    events: list[Event] = []
    assert box.run(PROGRAM, on_event=events.append).unwrap() == 2
    assert [shown(event) for event in events] == EXPECTED
    with box.session() as session:
        events.clear()
        session.run(PROGRAM, on_event=events.append)
        session.run("print('without a listener')")
        assert [shown(event) for event in events] == EXPECTED


def test_events_by_iteration(box: Sandbox) -> None:
    async def collect(source: Sandbox | Session) -> list[tuple[str, object]]:
        return [shown(event) async for event in source.stream(PROGRAM)]

    assert asyncio.run(collect(box)) == [*EXPECTED, ("Finished", 2)]
    with box.session() as session:
        for _ in range(2):
            assert asyncio.run(collect(session)) == [*EXPECTED, ("Finished", 2)]


def test_output_arrives_while_the_program_goes_on() -> None:
    printed = threading.Event()

    def wait() -> bool:
        return printed.wait(PATIENCE)

    def listen(event: Event) -> None:
        if isinstance(event, Output):
            printed.set()

    box = Sandbox(tools=Functions(wait), limits=LONG)
    assert box.run("print('now')\nwait()", on_event=listen).unwrap() is True


def test_a_character_cut_in_two(box: Sandbox) -> None:
    events: list[Event] = []
    code = "import os\nfor byte in 'aé€😀'.encode() + b'\\xff\\xe2': os.write(1, bytes([byte]))"
    result = box.run(code, on_event=events.append)
    texts = [event.text for event in events if isinstance(event, Output)]
    assert "".join(texts) == result.stdout == "aé€😀\ufffd\ufffd"
    assert all(texts)


def test_a_listener_that_raises_ends_the_run(box: Sandbox) -> None:
    def fail(event: Event) -> None:
        raise LookupError("the listener's own")

    with box.session() as session:
        session.run("kept = 41")
        for code in ("print('x')\nkept = 0", "kept = 0\ntool(1)"):
            with pytest.raises(LookupError, match="own"):
                session.run(code, on_event=fail)
            assert session.run("kept").unwrap() == 41


def test_leaving_a_stream_ends_the_run(box: Sandbox) -> None:
    async def main() -> object:
        with box.session() as session:
            await session.arun("kept = 41")
            events = session.stream("kept = 0\nwhile True: print('x', flush=True)", limits=LONG)
            async for event in events:
                assert isinstance(event, Output)
                break
            await events.aclose()
            return (await session.arun("kept")).unwrap()

    assert asyncio.run(main()) == 41


def test_a_slow_reader_gets_everything(box: Sandbox) -> None:
    async def main() -> str:
        text = ""
        async for event in box.stream("for i in range(3_000): print(i)"):
            await asyncio.sleep(0.001)
            if isinstance(event, Output):
                text += event.text
        return text

    assert asyncio.run(main()) == "".join(f"{i}\n" for i in range(3_000))


def test_a_stream_of_a_run_that_fails(box: Sandbox) -> None:
    async def main() -> list[Event]:
        return [event async for event in box.stream("print('x')\nwhile True: pass", limits=Limits(fuel=1_000_000))]

    *_, last = asyncio.run(main())
    assert isinstance(last, Finished)
    assert last.result.error is not None


def test_a_cancelled_task_ends_its_run(box: Sandbox) -> None:
    async def main() -> object:
        with box.session() as session:
            await session.arun("kept = 41")
            task = asyncio.create_task(session.arun("kept = 0\nwhile True: pass", limits=LONG))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await usable(session)

    assert asyncio.run(main()) == 41


async def usable(session: Session) -> object:
    """The value of ``kept``, once a run that is just being ended has ended."""
    from cloche.runtime.errors import SessionBusy

    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            return (await session.arun("kept")).unwrap()
        except SessionBusy:
            assert time.monotonic() < give_up
            await asyncio.sleep(0.01)


def test_a_timeout_around_a_run(box: Sandbox) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(box.arun("while True: pass", limits=LONG), 0.1)
        assert (await box.arun("1")).unwrap() == 1

    asyncio.run(main())


def test_many_runs_at_once_on_one_loop() -> None:
    async def slow(n: int) -> int:
        await asyncio.sleep(0.01)
        return n * n

    async def main() -> list[object]:
        box = Sandbox(tools=Functions(slow))
        results = await asyncio.gather(*(box.arun(f"await slow({n})") for n in range(20)))
        return [result.unwrap() for result in results]

    assert asyncio.run(main()) == [n * n for n in range(20)]


def in_thread(run: Callable[[], Result[object]]) -> tuple[threading.Thread, list[Result[object]]]:
    results: list[Result[object]] = []
    thread = threading.Thread(target=lambda: results.append(run()), daemon=True)
    thread.start()
    return thread, results


@pytest.mark.parametrize("metering", ["fuel", "epoch"])
@pytest.mark.parametrize(
    "code", ["while True: pass", "import time\nwhile True: time.sleep(PAUSE)", "while True: print(end='')", "block()"]
)
def test_an_interrupt_from_another_thread(code: str, metering: str) -> None:
    entered, leave = threading.Event(), threading.Event()

    def block() -> None:
        leave.wait(PATIENCE)

    def started() -> None:
        entered.set()

    box = Sandbox(tools=Functions(block, started, blocks=True), metering=metering)  # type: ignore[arg-type]
    with box.session() as session:
        session.run("kept = 41; PAUSE = 30")
        assert not session.interrupt()
        thread, results = in_thread(lambda: session.run("kept = 0\nstarted()\n" + code, limits=LONG))
        assert entered.wait(PATIENCE)
        assert session.interrupt()
        thread.join(PATIENCE)
        leave.set()
        assert isinstance(results[0].error, Interrupted)
        assert results[0].rolled_back
        assert session.run("kept").unwrap() == 41
        assert not session.interrupt()


def test_closing_ends_a_run_that_is_going_on(box: Sandbox) -> None:
    entered = threading.Event()
    session = box.session()
    thread, results = in_thread(
        lambda: session.run("print('x')\nwhile True: pass", limits=LONG, on_event=lambda event: entered.set())
    )
    assert entered.wait(PATIENCE)
    session.close()
    thread.join(PATIENCE)
    assert isinstance(results[0].error, Interrupted)


class Pressed(BaseException):
    """What stands for KeyboardInterrupt, which pytest would take for itself."""


@pytest.mark.skipif(os.name != "posix", reason="sends itself POSIX signals")
@pytest.mark.parametrize("blocks", [False, True], ids=["on the main thread", "on a thread of its own"])
@pytest.mark.parametrize(
    "code", ["while True: pass", "import time\ntime.sleep(30)", "block()", "while True: tool(1)", "await forever()"]
)
def test_ctrl_c_ends_a_run_and_is_raised(code: str, blocks: bool) -> None:
    def block() -> None:
        threading.Event().wait(10)

    async def forever() -> None:
        await asyncio.Event().wait()

    def press(number: int, frame: object) -> None:
        raise Pressed

    before = signal.signal(signal.SIGINT, press)
    try:
        with Sandbox(tools=Functions(block, tool, forever, blocks=blocks)).session() as session:
            session.run("kept = 41")
            # Python drops what a signal's handler raises in a finalizer, and other tests may have left garbage.
            gc.collect()
            send_within(signal.SIGINT)
            with pytest.raises(Pressed):
                session.run("kept = 0\n" + code, limits=LONG.replace(calls=None))
            assert session.run("kept").unwrap() == 41
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_deadline_after_an_interrupt_that_came_too_late(box: Sandbox) -> None:
    with box.session() as session:
        for _ in range(20):
            thread, results = in_thread(lambda: session.run("x = 1"))
            session.interrupt()
            thread.join(PATIENCE)
            assert results[0].error is None or isinstance(results[0].error, Interrupted)
        assert session.run("6 * 7").unwrap() == 42
        result = session.run("while True: pass", limits=Limits(fuel=None, time=0.1))
        assert isinstance(result.error, TimeExceeded)
