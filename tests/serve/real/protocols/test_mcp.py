"""The MCP SDK's own client against the server: tools, progress, cancellation, pages, and other tenants."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from tests.serve.servers import Served

pytest.importorskip("mcp", reason="needs cloche[mcp]")

import httpx2
from mcp import ClientSession, MCPError
from mcp.client.streamable_http import streamable_http_client

START = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


async def call(client: ClientSession, name: str, arguments: dict[str, Any]) -> Any:
    """Call a tool."""
    return await client.call_tool(name, arguments)


def with_client(server: Served, use: Callable[[ClientSession], Awaitable[None]], tenant: str = "north") -> None:
    """Connect as chat programs do, and use the connection."""

    async def connect() -> None:
        headers = {"authorization": f"Bearer {server.keys[tenant]}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=120) as http,
            streamable_http_client(f"{server.url}/mcp", http_client=http) as streams,
            ClientSession(streams[0], streams[1]) as client,
        ):
            await client.initialize()
            await use(client)

    asyncio.run(connect())


def test_programs_sessions_and_files_are_tools(server: Served) -> None:
    async def use(client: ClientSession) -> None:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert {"run_python", "open_session", "close_session", "list_sessions", "put_file", "get_file"} <= names
        run = await call(client, "run_python", {"code": "print('here')\n6 * 7"})
        assert run.content[0].text == "here\nvalue: 42"
        assert run.structured_content == {"stdout": "here", "stderr": "", "value": "42", "error": None}
        failed = await call(client, "run_python", {"code": "1 / 0"})
        assert failed.is_error
        assert failed.structured_content["error"]["type"] == "ZeroDivisionError"
        opened = await call(client, "open_session", {})
        session = opened.structured_content["session"]
        await call(client, "run_python", {"code": "x = 1", "session": session})
        assert "NameError" in (await call(client, "run_python", {"code": "x"})).content[0].text
        await call(client, "put_file", {"session": session, "path": "a.txt", "text": "text"})
        code = "open('/work/b.bin', 'wb').write(b'\\xff'); x, open('/work/a.txt').read()"
        run = await call(client, "run_python", {"code": code, "session": session})
        assert run.structured_content["value"] == "(1, 'text')"
        found = await call(client, "get_file", {"session": session, "path": "b.bin"})
        assert base64.b64decode(found.structured_content["base64"]) == b"\xff"
        listed = await call(client, "list_files", {"session": session})
        assert listed.structured_content == {"result": ["/work/a.txt", "/work/b.bin"]}
        assert session in (await call(client, "list_sessions", {})).structured_content["result"]
        await call(client, "close_session", {"session": session})
        gone = await call(client, "run_python", {"code": "x", "session": session})
        assert gone.is_error
        assert "no such session" in gone.content[0].text

    with_client(server, use)


def test_what_a_program_shows_comes_as_images(server: Served) -> None:
    code = "class Plot:\n    def _repr_png_(self): return b'\\x89PNG'\n    def __repr__(self): return 'a plot'\nPlot()"

    async def use(client: ClientSession) -> None:
        run = await call(client, "run_python", {"code": code})
        assert run.content[0].text == "value: a plot"
        assert (run.content[1].mime_type, base64.b64decode(run.content[1].data)) == ("image/png", b"\x89PNG")

    with_client(server, use)


def test_progress_is_what_a_program_prints(server: Served) -> None:
    async def use(client: ClientSession) -> None:
        told: list[str | None] = []

        async def tell(progress: float, total: float | None, message: str | None) -> None:
            told.append(message)

        await client.call_tool("run_python", {"code": "print('one')\nprint('two')"}, progress_callback=tell)
        assert "".join(text or "" for text in told) == "one\ntwo\n"

    with_client(server, use)


def test_a_call_that_is_cancelled_ends_its_program(server: Served) -> None:
    async def use(client: ClientSession) -> None:
        session = (await call(client, "open_session", {})).structured_content["session"]
        await call(client, "run_python", {"code": "x = 1", "session": session})
        began = asyncio.Event()

        async def tell(progress: float, total: float | None, message: str | None) -> None:
            began.set()

        code = "import time\nprint('began')\nwhile True: time.sleep(0.01)"
        running = asyncio.create_task(
            client.call_tool("run_python", {"code": code, "session": session}, progress_callback=tell)
        )
        await began.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        # It waits for its turn, which comes when the program before it is over.
        after = await call(client, "run_python", {"code": "x", "session": session})
        assert after.structured_content["value"] == "1"

    with_client(server, use)


def test_a_run_has_a_page_in_the_users_chat(server: Served) -> None:
    async def use(client: ClientSession) -> None:
        tool = next(tool for tool in (await client.list_tools()).tools if tool.name == "run_python")
        assert tool.meta is not None
        page: Any = (await client.read_resource(tool.meta["ui"]["resourceUri"])).contents[0]
        assert page.mime_type == "text/html;profile=mcp-app"
        assert "textContent" in page.text
        assert "innerHTML" not in page.text
        assert "http:" not in page.text.replace("http://www.w3.org", "")

    with_client(server, use)


def test_bad_arguments_and_unknown_tools_are_errors(server: Served) -> None:
    async def use(client: ClientSession) -> None:
        for arguments in ({}, {"code": 1}, {"code": "1", "time": -1}, {"code": "1", "session": "../.."}):
            assert (await call(client, "run_python", arguments)).is_error
        session = (await call(client, "open_session", {})).structured_content["session"]
        for given in ({"data": "no base64!"}, {"text": "a", "data": "YQ=="}, {}):
            assert (await call(client, "put_file", {"session": session, "path": "a", **given})).is_error
        with pytest.raises(MCPError):
            await client.read_resource("file:///etc/passwd")

    with_client(server, use)


def test_another_tenants_session_does_not_exist(server: Served) -> None:
    async def use(client: ClientSession) -> None:
        session = (await call(client, "open_session", {})).structured_content["session"]

        async def steal(other: ClientSession) -> None:
            for name, arguments in (
                ("run_python", {"code": "1", "session": session}),
                ("get_file", {"session": session, "path": "a"}),
                ("close_session", {"session": session}),
            ):
                assert "no such session" in (await call(other, name, arguments)).content[0].text
            listed = await call(other, "list_sessions", {})
            assert listed.structured_content["result"] == []

        await asyncio.to_thread(with_client, server, steal, "south")

    with_client(server, use)


def test_hostile_requests_are_refused(server: Served) -> None:
    accept = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    north, south = ({**accept, "authorization": f"Bearer {server.keys[name]}"} for name in ("north", "south"))
    with httpx.Client(base_url=server.url, timeout=60) as http:
        assert http.post("/mcp", json=START, headers=accept).status_code == 401
        assert http.post("/mcp", json=START, headers={**accept, "authorization": "Bearer no"}).status_code == 401
        begun = http.post("/mcp", json=START, headers=north)
        assert begun.status_code == 200
        id = begun.headers["mcp-session-id"]
        listing: dict[str, Any] = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}
        # The connection of one tenant is not there for another.
        assert http.post("/mcp", json=listing, headers={**south, "mcp-session-id": id}).status_code == 404
        assert http.post("/mcp", json=listing, headers={**north, "mcp-session-id": "no"}).status_code == 404
        own = {**north, "mcp-session-id": id}
        assert http.post("/mcp", content=b"[" * 100_000, headers=own).status_code == 400
        assert http.post("/mcp", content=bytes(2 << 20), headers=own).status_code == 413
        assert http.post("/mcp", content=json.dumps([listing] * 3).encode(), headers=own).status_code == 400
        assert http.delete("/mcp", headers=own).status_code == 200
        assert http.post("/mcp", json=listing, headers=own).status_code == 404


def test_agents_are_tools_and_their_calls_wait_for_a_person(team: Served) -> None:
    async def use(client: ClientSession) -> None:
        assert {"ask_helper", "answer_call"} <= {tool.name for tool in (await client.list_tools()).tools}
        told: list[str] = []

        async def tell(progress: float, total: float | None, message: str | None) -> None:
            told.append(message or "")

        asked = {"task": "do: count", "conversation": "one"}
        first = await client.call_tool("ask_helper", asked, progress_callback=tell)
        assert first.structured_content is not None
        assert first.structured_content["output"] == 1
        assert "helper: step 1" in told
        assert "so far 1\n" in told
        assert (await call(client, "ask_helper", asked)).structured_content["output"] == 2
        waiting = (await call(client, "ask_helper", {"task": "do: pay her"})).structured_content
        assert (waiting["state"], waiting["waits"][0]["arguments"]) == ("waiting", {"to": "ann", "amount": 20})
        approved = {"run": waiting["run"], "approve": True, "arguments": {"to": "ann", "amount": 3}}
        assert (await call(client, "answer_call", approved)).structured_content["output"] == "paid 3 to ann"
        assert (await call(client, "answer_call", approved)).is_error
        failed = await call(client, "ask_helper", {"task": "do: what the model cannot"})
        assert failed.is_error
        assert "KeyError" in failed.content[0].text

        async def steal(other: ClientSession) -> None:
            answer = {"run": waiting["run"], "approve": True}
            assert "no such run" in (await call(other, "answer_call", answer)).content[0].text

        await asyncio.to_thread(with_client, team, steal, "south")

    with_client(team, use)


def test_an_agents_call_that_is_cancelled_ends_its_run(team: Served) -> None:
    async def use(client: ClientSession) -> None:
        began = asyncio.Event()

        async def tell(progress: float, total: float | None, message: str | None) -> None:
            if message == "begun\n":
                began.set()

        running = asyncio.create_task(client.call_tool("ask_helper", {"task": "do: spin"}, progress_callback=tell))
        await began.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        with team.http() as http:
            for _ in range(600):
                if not http.get("/v1/agent-runs", params={"in": "spin", "status": "running"}).json()["runs"]:
                    break
                await asyncio.sleep(0.1)
            else:
                raise AssertionError("it still runs")

    with_client(team, use)
