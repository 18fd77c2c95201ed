"""Programs that call a real Gradio app, where the package is installed."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

if not (find_spec("gradio") and find_spec("gradio_client")):
    pytest.skip("the package gradio is not installed", allow_module_level=True)

from cloche import Sandbox
from cloche.host_tools import Tool
from cloche.runtime.limits import Limits

NAMES = ("shout", "size", "parts", "refuse", "remember")


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("gradio_app.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as app:
        assert app.stdout is not None
        url = app.stdout.readline().strip()
        tools = [Tool.from_space(url, name, api_name=f"/{name}") for name in NAMES]
        yield Sandbox(tools=tools, limits=Limits(time=60))
        for tool in tools:
            tool.close()  # type: ignore[attr-defined]
        assert app.stdin is not None
        app.stdin.close()


def test_values_with_and_without_their_defaults(box: Sandbox) -> None:
    assert box.run("[shout('hi'), shout('a', 3), shout(text='b', times=1)]").unwrap() == ["HIHI", "AAA", "B"]
    assert "Times" in box.run("shout.__doc__").unwrap()


def test_a_file_of_the_guest_is_bytes_for_the_app(box: Sandbox) -> None:
    program = "open('note.txt', 'w').write('abc')\nsize(open('note.txt', 'rb').read())"
    assert box.run(program).unwrap() == [3, "file1.bin"]
    assert box.run(r"size(b'%PDF-1.4')").unwrap() == [8, "file1.pdf"]


def test_a_path_is_no_file(box: Sandbox) -> None:
    assert "content as bytes" in str(box.run("size('/etc/hostname')").error)
    described = "{'path': '/etc/hostname', 'meta': {'_type': 'gradio.FileData'}}"
    assert "content as bytes" in str(box.run(f"size({described})").error)


def test_an_answer_of_parts_with_a_file_in_it(box: Sandbox) -> None:
    assert box.run("parts(5)").unwrap() == (5, b"xxxxx")


def test_the_apps_own_words_for_an_error(box: Sandbox) -> None:
    assert box.run("refuse('thing')").error.message == "refuse() failed: no thing today"  # type: ignore[union-attr]


def test_what_an_app_remembers_is_that_of_its_own_connection(box: Sandbox) -> None:
    assert box.run("remember('a'); remember('b')").unwrap() == "a b"
