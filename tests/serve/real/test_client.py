"""The typed client against a real server: what it shares with Session, it does as Session does."""

import asyncio
import inspect
from typing import Any

import pytest
from tests.serve.servers import Served

import cloche
from cloche import FuelExhausted, GuestException, Limits, Output, SessionBusy
from cloche.serve.client import RemoteSession, RemoteSuspended


def test_the_same_names_as_session() -> None:
    wanted = {name for name, _ in inspect.getmembers(cloche.Session, inspect.isfunction) if not name.startswith("_")}
    missing = wanted - set(dir(RemoteSession))
    assert missing == {"pause", "apause"}


def test_values_of_all_kinds_cross_unchanged(server: Served) -> None:
    with server.client() as client, client.session() as session:
        for value in (
            {"a": (1, None)},
            {1: "x"},
            b"\xff",
            {1, 2},
            2**70,
            float("inf"),
            "\ud800",
            [1.5, True],
            {"$x": 1},
        ):
            session.set("v", value)
            assert session.get("v") == value
            assert session.run("v").value == value


def test_displays_come_back_with_their_bytes(server: Served) -> None:
    code = """
class Chart:
    def _repr_png_(self):
        return b"\\x89PNG\\r\\n\\x1a\\n" + bytes(range(256))

    def _repr_html_(self):
        return "<b>chart</b>"

Chart()
"""
    with server.client() as client, client.session() as session:
        (shown,) = session.run(code).displays
        local = cloche.Sandbox().run(code).displays
    assert (shown.kind, shown.png, shown.data) == (local[0].kind, local[0].png, local[0].data)
    assert shown.png is not None


def test_errors_are_the_runtimes_own(server: Served) -> None:
    with server.client() as client, client.session() as session:
        error = session.run("while True: pass", limits=Limits(fuel=10_000_000)).error
        assert isinstance(error, FuelExhausted)
        assert error.limit == 10_000_000
        with pytest.raises(GuestException, match="NameError"):
            session.get("nothing")
        with pytest.raises(GuestException, match="FileNotFoundError"):
            session.get_file("nothing")
        assert client.run("1 + 1").value == 2


def test_tools_run_in_the_clients_process(server: Served) -> None:
    seen: list[str] = []

    def look(name: str) -> dict[str, Any]:
        """Look something up."""
        seen.append(name)
        if name == "bad":
            raise LookupError("no such thing")
        return {"name": name, "size": len(name)}

    with server.client() as client, client.session(tools=[look]) as session:
        result = session.run("[look(n)['size'] for n in ('a', 'bcd')]")
        assert result.value == [1, 3]
        assert seen == ["a", "bcd"]
        error = session.run("look('bad')").error
        assert isinstance(error, GuestException)
        assert (error.type_name, error.message) == ("LookupError", "no such thing")


def test_approval_is_given_from_elsewhere(server: Served) -> None:
    with server.client() as client, client.session() as session:
        waiting = session.start("print('so far')\npay(3.0)")
        assert isinstance(waiting, RemoteSuspended)
        assert (waiting.stdout, waiting.calls[0].name) == ("so far\n", "pay")
        with pytest.raises(SessionBusy):
            session.run("1")
        assert session.suspended is not None
        with server.client() as other:
            outcome = other.resume(waiting.token, {1: {"approve": True}})
        assert isinstance(outcome, cloche.Result)
        assert outcome.value == "paid 3.0"
        assert session.suspended is None


def test_everything_for_async_callers(server: Served) -> None:
    async def add(a: int, b: int) -> int:
        """Add."""
        await asyncio.sleep(0)
        return a + b

    async def main() -> None:
        async with server.client() as client, await client.asession(tools=[add]) as session:
            heard: list[Any] = []
            result = await session.arun("print('x')\nawait add(1, 2)", on_event=heard.append)
            assert result.value == 3
            assert Output("stdout", "x\n") in heard
            await session.aput_file("f", "data")
            assert await session.aget_file("f") == b"data"
            assert await session.alist_files() == ["/work/f"]
            await session.aset("v", 5)
            (fork,) = await session.afork()
            assert await fork.aget("v") == 5
            await fork.aclose()
            assert [type(event).__name__ async for event in session.stream("print(1)")] == ["Output", "Finished"]

    asyncio.run(main())


def test_a_task_that_is_cancelled_ends_its_run(server: Served) -> None:
    async def main() -> None:
        async with server.client() as client, await client.asession() as session:
            begun = asyncio.Event()
            code = "print('on', flush=True)\nwhile True: pass"
            task = asyncio.ensure_future(session.arun(code, on_event=lambda _: begun.set()))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            for _ in range(200):
                try:
                    assert (await session.arun("1")).value == 1
                    break
                except SessionBusy:
                    await asyncio.sleep(0.05)

    asyncio.run(main())


def test_what_the_server_does_is_part_of_the_callers_trace(server: Served) -> None:
    sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="the SDK of OpenTelemetry is not installed")
    tracer = sdk.TracerProvider().get_tracer("test")
    with server.client() as client, tracer.start_as_current_span("outer") as span:
        client.run("1")
    assert f'"trace":"{span.get_span_context().trace_id:032x}"' in (server.folder / "audit.log").read_text()
