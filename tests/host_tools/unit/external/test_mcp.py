"""MCP servers, real ones over both transports, as tools."""

import contextlib
import inspect
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="the extra 'mcp' is not installed")

from cloche.host_tools import ToolFailed, ToolRejected
from cloche.host_tools.external import ToolCollection
from cloche.runtime.errors import ConfigurationError

SERVER = Path(__file__).with_name("mcp_server.py")
STDIO = {"command": sys.executable, "args": [str(SERVER)]}


@pytest.fixture
def stdio() -> Iterator[ToolCollection]:
    with ToolCollection.from_mcp(STDIO) as tools:
        yield tools


@pytest.fixture(params=["stdio", "http", "http with headers"])
def tools(request: pytest.FixtureRequest) -> Iterator[ToolCollection]:
    if request.param == "stdio":
        with ToolCollection.from_mcp(STDIO) as tools:
            yield tools
        return
    with http_server() as url:
        given: Any = {"url": url, "headers": {"X-Key": "1"}} if "headers" in request.param else url
        with ToolCollection.from_mcp(given) as tools:
            yield tools


@contextlib.contextmanager
def http_server() -> Generator[str, None, None]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(SERVER), "http", str(port)], stderr=subprocess.DEVNULL)
    try:
        until_true(lambda: _answers(port))
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until_true(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def call(tools: ToolCollection, name: str, *args: Any, **kwargs: Any) -> Any:
    return tools.call(name, list(args), kwargs)


def test_calls_values_and_structured_output(tools: ToolCollection) -> None:
    assert call(tools, "add", 1) == 11
    assert call(tools, "add", b=2, a=1) == 3
    assert call(tools, "get_weather", "Oslo") == {"city": "Oslo", "degrees": 20.5}
    assert call(tools, "get_weather", "Oslo", "F") == {"city": "Oslo", "degrees": 70.0}
    assert call(tools, "say", "hello \u00e9") == "hello \u00e9"
    assert call(tools, "page") == ["hello", b"\x89PNG"]


def test_names_signatures_and_descriptions(stdio: ToolCollection) -> None:
    assert {"add", "get_weather", "open_", "learn"} <= set(stdio)
    spec = stdio["get_weather"].spec()
    assert spec["params"] == [["city", 1, False, None, "str"], ["unit", 1, True, None, "str | None"]]
    assert spec["doc"].startswith("Tell the weather of a city.")
    assert "Returns a dict with:\n    city: str\n    degrees: float" in spec["doc"]
    assert stdio["add"].spec()["returns"] == "int"
    assert [parameter.default for parameter in stdio["add"].inputs] == [inspect.Parameter.empty, 10]
    assert len(stdio.tools) == len(stdio)


def test_wrong_arguments_are_found_before_the_server_is_asked(stdio: ToolCollection) -> None:
    with pytest.raises(ToolRejected, match="'a'"):
        call(stdio, "add", "many")
    with pytest.raises(ToolRejected, match="'city'"):
        call(stdio, "get_weather")


def test_a_tools_error_is_told(stdio: ToolCollection) -> None:
    with pytest.raises(ToolFailed, match="out of stock"):
        call(stdio, "fail", "out of stock")


def test_changes_of_the_servers_tools_show(tools: ToolCollection) -> None:
    before = tools.version()
    assert call(tools, "learn", "greet") == "learnt"
    until_true(lambda: "greet" in tools)
    assert call(tools, "greet") == "greet"
    assert tools.version() > before


def test_changes_are_not_followed_unless_wanted() -> None:
    with ToolCollection.from_mcp(STDIO, follow=False) as tools:
        call(tools, "learn", "greet")
        call(tools, "add", 1)
        assert "greet" not in tools


def test_prefixes_and_choice() -> None:
    with ToolCollection.from_mcp(STDIO, prefix="test_", only=lambda name: name in ("add", "open")) as tools:
        assert set(tools) == {"test_add", "test_open"}
        assert call(tools, "test_open") == "opened"


def test_calls_from_many_threads(stdio: ToolCollection) -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda n=n: found.append(call(stdio, "add", n, n))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [2 * n for n in range(8)]


def test_a_server_that_dies_is_told_and_the_host_goes_on(stdio: ToolCollection) -> None:
    for name, *args in (("leave",), ("add", 1)):
        with pytest.raises(ToolFailed, match="cannot be reached any more") as caught:
            call(stdio, name, *args)
        assert caught.value.guest_type == "ConnectionError"


def test_nothing_is_left_of_a_call_that_is_under_way_when_the_connection_is_closed() -> None:
    program = f"""if True:
        import sys, threading
        from cloche.host_tools.external import ToolCollection
        with ToolCollection.from_mcp({STDIO!r}) as tools:
            begun = threading.Event()
            def call():
                begun.set()
                try:
                    tools.call("wait", [], {{}})
                except Exception as error:
                    print(error)
            thread = threading.Thread(target=call)
            thread.start()
            begun.wait()
            tools.call("add", [1], {{}})
        thread.join()
    """
    done = subprocess.run([sys.executable, "-X", "dev", "-c", program], capture_output=True, text=True, check=True)
    assert "cannot be reached" in done.stdout
    told = [line for line in done.stderr.splitlines() if "Executing <" not in line]
    assert told == []


def test_calls_after_the_end() -> None:
    with ToolCollection.from_mcp(STDIO) as tools:
        pass
    with pytest.raises(ToolFailed, match="was closed"):
        call(tools, "add", 1)


@pytest.mark.parametrize(
    "server",
    [
        {"command": "/no/such/program"},
        {"command": sys.executable, "args": ["-c", "print('no protocol')"]},
        "http://127.0.0.1:9/mcp",
    ],
)
def test_servers_that_are_none(server: Any) -> None:
    with pytest.raises(ConnectionError, match="MCP server"), ToolCollection.from_mcp(server, timeout=20.0):
        pass


def test_settings_that_name_no_server() -> None:
    with pytest.raises(ConfigurationError, match="'url'"), ToolCollection.from_mcp({"args": []}):
        pass
