"""``cloche mcp``: its flags, its sessions, and what it says when it cannot serve."""

import sys
from typing import Any, cast

import pytest

from cloche.cli.main import build_parser, main
from cloche.cli.mcp.server import OpenSessions, ServiceError, result_text
from cloche.runtime.errors import GuestException
from cloche.runtime.result import Result, Usage
from cloche.runtime.sandbox import Sandbox


class FakeSession:
    closed = False

    def close(self) -> None:
        self.closed = True


class FakeSandbox:
    def session(self) -> FakeSession:
        return FakeSession()


def sessions(most: int = 2, idle: float = 100.0) -> OpenSessions:
    return OpenSessions(cast("Sandbox", FakeSandbox()), most, idle)


def result(value: Any = None, stdout: str = "", stderr: str = "", **more: Any) -> Result[Any]:
    return Result(value, more.get("error"), stdout, stderr, Usage(1, 0.1, 1, 0, 0), [], more.get("rolled_back", False))


def test_sessions_have_unguessable_ids() -> None:
    opened = sessions(50)
    ids = {opened.open() for _ in range(50)}
    assert len(ids) == 50
    assert all(len(name) >= 16 for name in ids)
    assert set(opened.names()) == ids


def test_too_many_sessions_are_refused_until_one_is_closed() -> None:
    opened = sessions(1)
    first = opened.open()
    with pytest.raises(ServiceError, match="1 sessions are open"):
        opened.open()
    opened.close(first)
    opened.open()


def test_idle_sessions_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("cloche.cli.mcp.server.monotonic", lambda: now[0])
    opened = sessions(2, idle=10.0)
    name = opened.open()
    held = cast("FakeSession", opened.get(name))
    now[0] = 9.0
    opened.get(name)
    now[0] = 18.0
    assert opened.names() == [name]
    now[0] = 20.0
    assert opened.names() == []
    assert held.closed
    with pytest.raises(ServiceError, match="no session"):
        opened.get(name)


def test_the_end_closes_all() -> None:
    opened = sessions()
    held = [cast("FakeSession", opened.get(opened.open())) for _ in range(2)]
    opened.close_all()
    assert all(session.closed for session in held)
    assert opened.names() == []


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (result(), "The program ran to its end, printed nothing and has no value."),
        (result(42, "hello\n"), "hello\nvalue: 42"),
        (result("text", "", "warning\n"), "stderr: warning\nvalue: 'text'"),
    ],
)
def test_results_as_text(given: Result[Any], text: str) -> None:
    assert result_text(given) == text


def test_errors_as_text() -> None:
    text = result_text(result(stdout="so far\n", error=GuestException("ValueError", "no", "", 3), rolled_back=True))
    assert text.startswith("so far\n")
    assert "ValueError: no" in text
    assert text.endswith("The session is back where it was before this run.")


def test_long_output_is_cut_with_a_note() -> None:
    assert result_text(result(stdout="x" * 60_000)).endswith("x\n[cut: 10000 more characters]")


@pytest.mark.parametrize("flags", [["--sessions", "-1"], ["--idle", "0"], ["--idle", "soon"], ["--http", "web"]])
def test_flags_that_make_no_sense(flags: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        build_parser().parse_args(["mcp", *flags])
    assert caught.value.code == 2


def test_without_the_sdk_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    assert main(["mcp"]) == 2
    assert "pip install 'cloche[mcp]'" in capsys.readouterr().err
