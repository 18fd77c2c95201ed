"""Notebooks and consoles of Jupyter, with its own clients, against ``cloche kernel``."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloche.cli.main import main

jupyter_client = pytest.importorskip("jupyter_client", reason="needs cloche[jupyter]")
pytest.importorskip("ipykernel", reason="needs cloche[jupyter]")

pytestmark = [
    # Of the client's own sockets and event loops.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
PATIENCE = 120


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Install the kernel once, with a tool and limits, where Jupyter finds it."""
    prefix = tmp_path_factory.mktemp("prefix")
    flags = ["--time", "60", "--memory", "200MiB", "--tool", "base64:b64encode"]
    assert main(["kernel", "install", "--prefix", str(prefix), *flags]) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(prefix / "share" / "jupyter"))
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        yield prefix / "share" / "jupyter" / "kernels" / "cloche" / "kernel.json"


class Console:
    """A client of one kernel, as a console is."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def run(self, code: str) -> list[tuple[str, Any]]:
        """Run a cell and return its messages: streams as text, data as bundles, errors by name."""
        messages: list[tuple[str, Any]] = []

        def note(message: Any) -> None:
            kind, content = message["msg_type"], message["content"]
            shown = content.get("text") or content.get("data") or content.get("ename")
            if kind not in ("status", "execute_input"):
                messages.append((content.get("name", kind) if kind == "stream" else kind, shown))

        self.client.execute_interactive(
            code, output_hook=note, timeout=PATIENCE, allow_stdin=True, stdin_hook=self._type
        )
        return messages

    def _type(self, request: Any) -> None:
        self.client.input(f"answer to {request['content']['prompt']}")


@pytest.fixture(scope="module")
def manager(installed: Path) -> Iterator[Any]:
    manager = jupyter_client.KernelManager(kernel_name="cloche")
    manager.start_kernel()
    yield manager
    manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def console(manager: Any) -> Iterator[Console]:
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=PATIENCE)
    yield Console(client)
    client.stop_channels()


def test_the_kernel_begins_with_the_flags_it_was_installed_with(installed: Path) -> None:
    spec = json.loads(installed.read_text(encoding="utf-8"))
    assert spec["argv"][1:5] == ["-m", "cloche", "kernel", "run"]
    assert {"--time=60", "--memory=200MiB", "--tool=base64:b64encode"} <= set(spec["argv"])
    assert spec["interrupt_mode"] == "message"


def test_output_comes_in_order_and_the_value_last(console: Console) -> None:
    code = "import sys\nprint('one')\ndisplay('two')\nprint('three', file=sys.stderr)\n{'four': 4}"
    assert console.run(code) == [
        ("stdout", "one\n"),
        ("display_data", {"text/plain": "'two'"}),
        ("stderr", "three\n"),
        ("execute_result", {"text/plain": "{'four': 4}"}),
    ]
    assert console.run("kept = _; kept;") == []
    assert console.run("kept") == [("execute_result", {"text/plain": "{'four': 4}"})]


@pytest.mark.parametrize(
    ("code", "kind", "data"),
    [
        ("class T:\n def _repr_html_(self): return '<b>bold</b>'\nT()", "text/html", "<b>bold</b>"),
        ("class P:\n def _repr_png_(self): return b'\\x89PNG'\nP()", "image/png", "iVBORw=="),
        ("class M:\n def _repr_mimebundle_(self, **_): return {'text/x': 'm'}\nM()", "text/x", "m"),
        ("from IPython.display import Markdown\nMarkdown('*m*')", "text/markdown", "*m*"),
        ("from IPython.display import JSON\nJSON({'a': [1]})", "application/json", {"a": [1]}),
    ],
)
def test_values_are_shown_richly(console: Console, code: str, kind: str, data: object) -> None:
    [(message, shown)] = console.run(code)
    assert message == "execute_result"
    assert shown[kind] == data
    assert shown["text/plain"]


def test_a_method_that_raises_leaves_the_text(console: Console) -> None:
    code = "class Bad:\n def _repr_html_(self): raise ValueError\n def __repr__(self): return 'bad'\nBad()"
    assert console.run(code) == [("execute_result", {"text/plain": "bad"})]


def test_errors_and_limits_end_a_cell_and_no_more(console: Console) -> None:
    console.run("before = 1")
    assert console.run("1 / 0") == [("error", "ZeroDivisionError")]
    assert console.run("x = [0] * 10**10") == [("error", "MemoryExceeded")]
    assert console.run("open('/etc/passwd')") == [("error", "FileNotFoundError")]
    assert console.run("before") == [("execute_result", {"text/plain": "1"})]


def test_a_program_asks_its_user_and_calls_tools(console: Console) -> None:
    assert console.run("input('name? ')") == [("execute_result", {"text/plain": "'answer to name? '"})]
    assert console.run("b64encode(b'x')") == [("execute_result", {"text/plain": "b'eA=='"})]


def test_names_are_completed_and_explained(console: Console) -> None:
    console.run("import json\ndef greet(name: str = 'you') -> str:\n '''Say hello.'''")
    found = console.client.complete("x = json.du", 11, reply=True, timeout=PATIENCE)["content"]
    assert (found["matches"], found["cursor_start"]) == (["json.dump", "json.dumps"], 4)
    shown = console.client.inspect("greet(", 3, reply=True, timeout=PATIENCE)["content"]
    assert shown["data"]["text/plain"] == "greet(name: str = 'you') -> str\n\nSay hello."
    assert not console.client.inspect("nowhere", 3, reply=True, timeout=PATIENCE)["content"]["found"]
    # What was asked for the editor left nothing behind.
    assert console.run("_") != [("execute_result", {"text/plain": "Say hello."})]


def test_an_interrupt_ends_the_cell_that_computes(console: Console, manager: Any) -> None:
    console.run("kept = 'kept'")
    asked = console.client.execute("print('begun')\nwhile True: pass")
    while (message := console.client.get_iopub_msg(timeout=PATIENCE))["msg_type"] != "stream":
        pass
    manager.interrupt_kernel()
    while message["msg_type"] != "error":
        message = console.client.get_iopub_msg(timeout=PATIENCE)
    assert message["content"]["ename"] == "KeyboardInterrupt"
    reply = console.client.get_shell_msg(timeout=PATIENCE)
    assert (reply["parent_header"]["msg_id"], reply["content"]["status"]) == (asked, "error")
    assert console.run("kept") == [("execute_result", {"text/plain": "'kept'"})]


def test_a_restart_begins_anew(console: Console, manager: Any) -> None:
    console.run("gone = 1")
    manager.restart_kernel(now=True)
    console.client.wait_for_ready(timeout=PATIENCE)
    assert console.run("gone") == [("error", "NameError")]


def test_a_notebook_runs_as_a_whole(installed: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient")
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat")
    cells = ["rows = [3, 1, 2]", "sorted(rows)", "print(sum(rows))"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, kernel_name="cloche", timeout=PATIENCE, startup_timeout=PATIENCE).execute()
    assert notebook.cells[1].outputs[0]["data"] == {"text/plain": "[1, 2, 3]"}
    assert notebook.cells[2].outputs[0]["text"] == "6\n"
