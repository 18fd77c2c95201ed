"""``cloche mcp``, asked by the official client over standard input and output and over HTTP."""

import asyncio
import base64
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="the extra 'mcp' is not installed")

from mcp import Client, StdioServerParameters

import cloche

SOURCES = str(Path(cloche.__file__).parents[1])
TOOLS = '''
def double(number: int) -> int:
    """Return twice the number."""
    print("to stdout")
    return number * 2
'''


def served(*flags: str, folder: Path | None = None) -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable, args=["-m", "cloche", "mcp", *flags], env={"PYTHONPATH": SOURCES}, cwd=folder
    )


def with_client(server: Any, do: Callable[[Client], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Client(server) as client:
            await do(client)

    asyncio.run(main())


async def run(client: Client, code: str, **more: Any) -> dict[str, Any]:
    result = await client.call_tool("run_python", {"code": code, **more})
    assert isinstance(result.structured_content, dict)
    return result.structured_content


async def refused(client: Client, name: str, **arguments: Any) -> str:
    result = await client.call_tool(name, arguments)
    assert result.is_error
    return str(getattr(result.content[0], "text", ""))


def test_programs_run_and_what_they_do_wrong_is_told() -> None:
    async def do(client: Client) -> None:
        answer = await run(client, "print('hello')\nsum(range(10))")
        assert (answer["value"], answer["stdout"], answer["error"]) == (45, "hello\n", None)
        assert answer["usage"]["fuel"] > 0

        result = await client.call_tool("run_python", {"code": "print('so far')\n1 / 0"})
        assert result.is_error
        text = str(getattr(result.content[0], "text", ""))
        assert "so far" in text
        assert "ZeroDivisionError" in text
        assert "line 2" in text

    with_client(served(), do)


def test_sessions_keep_state_and_files() -> None:
    async def do(client: Client) -> None:
        opened = await client.call_tool("open_session", {})
        assert isinstance(opened.structured_content, dict)
        session = opened.structured_content["session"]
        await run(client, "x = 41", session=session)
        assert (await run(client, "x + 1", session=session))["value"] == 42
        assert (await run(client, "'x' in globals()"))["value"] is False

        await client.call_tool("put_file", {"session": session, "path": "in.txt", "text": "caf\u00e9"})
        raw = base64.b64encode(b"\xff\x00").decode()
        await client.call_tool("put_file", {"session": session, "path": "/work/raw.bin", "data": raw})
        assert (await run(client, "open('in.txt').read()", session=session))["value"] == "caf\u00e9"
        listed = await client.call_tool("list_files", {"session": session})
        assert listed.structured_content == {"result": ["/work/in.txt", "/work/raw.bin"]}
        text = await client.call_tool("get_file", {"session": session, "path": "in.txt"})
        assert text.structured_content == {"path": "in.txt", "size": 5, "text": "caf\u00e9", "base64": None}
        data = await client.call_tool("get_file", {"session": session, "path": "raw.bin"})
        assert data.structured_content == {"path": "raw.bin", "size": 2, "text": None, "base64": raw}

        await client.call_tool("close_session", {"session": session})
        assert "there is no session" in await refused(client, "run_python", code="x", session=session)

    with_client(served(), do)


def test_limits_are_the_commands_and_clients_can_only_lower_them() -> None:
    async def do(client: Client) -> None:
        limits = await client.call_tool("limits", {})
        assert isinstance(limits.structured_content, dict)
        assert (limits.structured_content["fuel"], limits.structured_content["time"]) == (50_000_000, 5.0)
        ended = await run(client, "while True: pass")
        assert ended["error"]["type"] == "FuelExhausted"
        assert (await run(client, "1", time=2.5))["value"] == 1
        assert "at most 5" in await refused(client, "run_python", code="1", time=60)

    with_client(served("--fuel", "5e7", "--time", "5"), do)


def test_what_clients_get_wrong() -> None:
    async def do(client: Client) -> None:
        first = await client.call_tool("open_session", {})
        assert isinstance(first.structured_content, dict)
        session = first.structured_content["session"]
        assert "1 sessions are open" in await refused(client, "open_session")
        assert "no session" in await refused(client, "get_file", session="guess", path="x")
        assert "FileNotFoundError" in await refused(client, "get_file", session=session, path="nope")
        assert "text or as base64" in await refused(client, "put_file", session=session, path="x")
        assert "valid base64" in await refused(client, "put_file", session=session, path="x", data="?")

    with_client(served("--sessions", "1"), do)


def test_two_runs_in_one_session_are_refused_and_in_two_go_on_side_by_side() -> None:
    async def do(client: Client) -> None:
        opened = await client.call_tool("open_session", {})
        assert isinstance(opened.structured_content, dict)
        session = opened.structured_content["session"]
        code = "import time\ntime.sleep(0.5)\n7"
        answers = await asyncio.gather(
            run(client, code),
            client.call_tool("run_python", {"code": code, "session": session}),
            client.call_tool("run_python", {"code": code, "session": session}),
        )
        assert answers[0]["value"] == 7
        assert sorted(answer.is_error for answer in answers[1:]) == [False, True]

    with_client(served(), do)


def test_host_tools_can_be_called_and_their_prints_do_not_disturb_the_protocol(tmp_path: Path) -> None:
    (tmp_path / "mytools.py").write_text(TOOLS, encoding="utf-8")

    async def do(client: Client) -> None:
        answer = await run(client, "double(21)")
        assert answer["value"] == 42
        assert answer["calls"][0]["name"] == "double"
        tools = await client.list_tools()
        described = {tool.name: tool.description or "" for tool in tools.tools}
        assert 'def double(number: int) -> int:\n    """Return twice the number."""' in described["run_python"]
        assert "double" in described["run_python"]

    with_client(served("--tool", "mytools:double", folder=tmp_path), do)


def test_streamable_http() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "cloche", "mcp", "--http", str(port)]
    process = subprocess.Popen(
        command, env={"PYTHONPATH": SOURCES, "HOME": str(Path.home())}, stderr=subprocess.DEVNULL
    )

    async def do() -> None:
        while not _answers(port):
            assert process.poll() is None
            await asyncio.sleep(0.05)
        async with Client(f"http://127.0.0.1:{port}/mcp") as client:
            assert (await run(client, "6 * 7"))["value"] == 42

    try:
        asyncio.run(asyncio.wait_for(do(), 60))
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
