"""Gradio apps as tools, by the real client: what crosses, and what an app or a program tries in vain."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("gradio_client")

from tests.host_tools.unit.external.hub_server import hub_server
from tests.host_tools.unit.external.space_server import FILE, TEXT, SpaceServer, space_server

from cloche.host_tools import HubError, Tool, ToolFailed, ToolRejected
from cloche.host_tools.external import SpaceTool, space_tool
from cloche.host_tools.external.spaces.files import Folder, sent

PNG = b"\x89PNG and so on"


@pytest.fixture
def app() -> Iterator[SpaceServer]:
    with space_server() as server:
        yield server


@pytest.fixture
def connect(app: SpaceServer) -> Iterator[Any]:
    made: list[SpaceTool] = []

    def connect(**options: Any) -> SpaceTool:
        given: dict[str, Any] = {"timeout": 30, **options}
        made.append(space_tool(app.url, "ask", **given))
        return made[-1]

    yield connect
    for tool in made:
        tool.close()


def file(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "url": None, "meta": {"_type": "gradio.FileData"}, **more}


def test_an_endpoint_is_a_tool_with_a_signature(app: SpaceServer, connect: Any) -> None:
    app.parameters = [app.parameter("text", TEXT), app.parameter("times", {"type": "integer"}, default=2)]
    app.answer = lambda text, times: [text * times]
    tool = connect(description="Repeats.")
    assert (tool.name, tool.description, tool.api_name, tool.output) == ("ask", "Repeats.", "/predict", "str")
    assert [one.name for one in tool.inputs] == ["text", "times"]
    assert tool.invoke(["a"], {}) == "aa"
    assert tool.invoke([], {"text": "a", "times": 3}) == "aaa"
    with pytest.raises(ToolRejected, match="'times'"):
        tool.invoke(["a", "often"], {})


def test_names_that_python_cannot_call_are_changed(app: SpaceServer) -> None:
    tool = Tool.from_space(app.url, "image-generator")
    assert (tool.name, tool.description) == ("image_generator", f"Asks /predict of the Gradio app {app.url}.")


def test_files_cross_as_bytes(app: SpaceServer, connect: Any) -> None:
    app.parameters, app.returns = [app.parameter("image", FILE)], [FILE]
    app.files["/tmp/gradio/out put.png"] = PNG
    app.answer = lambda image: [file("/tmp/gradio/out put.png")]
    tool = connect()
    assert tool.output == "bytes"
    assert tool.invoke([PNG], {}) == PNG
    assert app.uploads == [PNG]
    assert app.calls[0][0]["path"] == "/tmp/gradio/1"
    assert app.calls[0][0]["orig_name"] == "file1.png"


def test_files_deep_inside_and_several_parts(app: SpaceServer, connect: Any) -> None:
    app.parameters, app.returns = [app.parameter("files", {"type": "array", "items": FILE})], [{}, {"type": "integer"}]
    app.files["/a"] = b"A"
    app.answer = lambda files: [[{"image": file("/a"), "caption": None}], len(files)]
    assert connect().invoke([[b"1", b"2", "https://example.org/3.png"]], {}) == ([{"image": b"A", "caption": None}], 3)
    assert app.uploads == [b"1", b"2"]
    assert app.calls[0][0][2]["path"] == "https://example.org/3.png"


def test_data_that_has_a_path_is_no_file(app: SpaceServer, connect: Any) -> None:
    data = {"path": "/a", "url": "https://example.org", "meta": {"size": 3}}
    app.returns, app.answer = [{}], lambda text: [data]
    assert connect().invoke(["x"], {}) == data
    app.files["/a"] = b"A"
    app.answer = lambda text: [{"path": "/a", "url": None, "orig_name": "a", "size": 1, "mime_type": None}]
    assert connect().invoke(["x"], {}) == b"A"


def test_an_address_of_a_file_is_for_the_app_to_fetch(app: SpaceServer, connect: Any) -> None:
    app.parameters = [app.parameter("image", FILE)]
    app.answer = lambda image: [image["path"]]
    assert connect().invoke([f"{app.url}/secret"], {}) == f"{app.url}/secret"
    assert "/secret" not in app.asked


@pytest.mark.parametrize("wrap", [lambda file: file, lambda file: [file], lambda file: {"deep": [file]}])
def test_no_path_of_a_program_is_one_of_the_host(app: SpaceServer, connect: Any, wrap: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the host's")
    app.parameters = [app.parameter("anything", {})]
    with pytest.raises(ToolRejected, match="bytes"):
        connect().invoke([wrap(file(str(secret)))], {})
    assert app.uploads == []
    assert app.calls == []


def test_a_path_where_a_file_belongs_is_refused(app: SpaceServer, connect: Any) -> None:
    app.parameters = [app.parameter("image", FILE)]
    with pytest.raises(ToolRejected, match="content as bytes"):
        connect().invoke(["/etc/passwd"], {})


def test_a_path_where_text_belongs_is_text(app: SpaceServer, connect: Any) -> None:
    assert connect().invoke([__file__], {}) == __file__
    assert app.uploads == []


def test_a_file_of_the_host_as_default_is_not_sent(app: SpaceServer, connect: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the host's")
    app.parameters = [app.parameter("one", {}, default=file(str(secret))), app.parameter("two", {}, default=[1])]
    app.answer = lambda one, two: [str(two)]
    tool = connect()
    assert [one.required for one in tool.inputs] == [True, False]
    with pytest.raises(ToolRejected, match="'one'"):
        tool.invoke([], {})
    assert tool.invoke(["x"], {}) == "[1]"
    assert app.uploads == []


def test_an_answer_that_names_anothers_address_is_fetched_from_the_app(app: SpaceServer, connect: Any) -> None:
    app.returns = [FILE]
    with space_server() as other:
        app.answer = lambda text: [file("/f", url=f"{other.url}/inside", is_stream=True)]
        app.files["/f"] = b"own"
        assert connect().invoke(["x"], {}) == b"own"
        assert other.asked == []


def test_a_redirect_to_another_address_is_not_followed(app: SpaceServer, connect: Any) -> None:
    app.returns = [FILE]
    app.answer = lambda text: [file("/f")]
    with space_server() as other:
        app.redirect = f"{other.url}/inside"
        with pytest.raises(ToolFailed, match="302"):
            connect().invoke(["x"], {})
        assert other.asked == []


@pytest.mark.parametrize("prefix", ["{other}/", "//{other_host}/", "/a/../../b", "/a?b="])
def test_an_app_that_sends_its_callers_elsewhere_is_refused(app: SpaceServer, connect: Any, prefix: str) -> None:
    with space_server() as other:
        app.config["api_prefix"] = prefix.format(other=other.url, other_host=other.url.partition("//")[2])
        with pytest.raises(HubError, match="elsewhere"):
            connect()
        assert other.asked == []
    assert app.asked == ["/config"]


def test_files_have_a_limit_together(app: SpaceServer, connect: Any) -> None:
    app.returns = [{}]
    app.files = {"/a": bytes(600), "/b": bytes(600)}
    app.answer = lambda text: [[file("/a"), file("/b")]]
    tool = connect(max_bytes=1_000)
    with pytest.raises(ToolFailed, match="limit of 1000 bytes"):
        tool.invoke(["x"], {})
    assert connect(max_bytes=1_200).invoke(["x"], {}) == [bytes(600), bytes(600)]


def test_no_file_is_left_on_the_host(
    app: SpaceServer, connect: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    app.parameters, app.returns = [app.parameter("image", FILE)], [FILE]
    app.files["/out"] = b"out"
    app.answer = lambda image: [file("/out")]
    assert connect().invoke([PNG], {}) == b"out"
    assert list(tmp_path.iterdir()) == []


def test_what_an_app_fails_with_is_an_error_of_the_program(app: SpaceServer, connect: Any) -> None:
    def answer(text: str) -> Any:
        raise ValueError("no such thing")

    app.answer = answer
    with pytest.raises(ToolFailed, match=r"ask\(\) failed: no such thing"):
        connect().invoke(["x"], {})


def test_an_app_that_does_not_answer_is_given_up(app: SpaceServer, connect: Any) -> None:
    app.delay = 3
    with pytest.raises(ToolFailed, match=r"within 0\.5 s") as caught:
        connect(timeout=0.5).invoke(["x"], {})
    assert caught.value.guest_type == "TimeoutError"


def test_an_app_that_keeps_its_line_open_does_not_keep_the_process(app: SpaceServer) -> None:
    app.beats = True
    program = f"""
from cloche.host_tools import ToolFailed
from cloche.host_tools.external import space_tool
try:
    space_tool({app.url!r}, "ask", timeout=0.5).invoke(["x"], {{}})
except ToolFailed as error:
    print(error)
"""
    command = [sys.executable, "-c", program]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.stdout == "ask() did not answer within 0.5 s\n", done.stderr


def test_no_token_is_sent_unless_it_is_given(app: SpaceServer, connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_ofTheLogin")
    connect().invoke(["x"], {})
    assert "hf_ofTheLogin" not in repr(app.headers)
    connect(token="hf_given").invoke(["x"], {})
    assert "hf_given" in repr(app.headers)


def test_what_cannot_be_used_says_why(app: SpaceServer, connect: Any) -> None:
    with pytest.raises(HubError, match=r"no endpoint '/nothing'; there is /predict"):
        connect(api_name="/nothing")
    app.config["version"] = "3.50.0"
    with pytest.raises(HubError, match="too old"):
        connect()
    app.config = {"version": "6.0.0", "dependencies": [{}]}
    with pytest.raises(HubError, match="cannot be used"):
        connect()


def test_an_app_that_is_not_there() -> None:
    with pytest.raises(HubError, match="cannot be used"):
        space_tool("http://127.0.0.1:9", "ask", timeout=5)


def test_a_space_is_found_by_its_name(app: SpaceServer) -> None:
    with hub_server() as hub:
        hub.spaces["owner/app"] = {"host": app.url, "runtime": {"stage": "RUNNING", "hardware": {}}}
        tool = space_tool("owner/app", "ask", endpoint=hub.endpoint)
        assert tool.invoke(["hello"], {}) == "hello"
        tool.close()
        hub.spaces["owner/app"]["runtime"]["stage"] = "BUILDING"
        with pytest.raises(HubError, match="not running"):
            space_tool("owner/app", "ask", endpoint=hub.endpoint)


_WORDS = st.sampled_from(
    ["path", "meta", "_type", "url", "gradio.FileData", "/etc/passwd", "https://example.org/a", "x"]
)
_VALUES = st.recursive(
    st.none() | st.integers() | _WORDS | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(value=_VALUES, file=st.booleans())
def test_whatever_a_program_gives_only_its_own_bytes_are_uploaded(value: Any, file: bool) -> None:
    with tempfile.TemporaryDirectory() as place:
        try:
            ready = sent(value, Folder(place), file=file)
        except ToolRejected:
            return
        uploaded: list[str] = []
        # The very function by which the client finds what to upload.
        utils: Any = import_module("gradio_client.utils")
        utils.traverse(ready, lambda found: uploaded.append(found["path"]), utils.is_file_obj_with_meta)
        ours = [path for path in uploaded if not path.startswith("https://example.org/")]
        assert all(Path(path).parent == Path(place) for path in ours)
        assert len(ours) == len(list(Path(place).iterdir()))
