"""E2B's own SDK against the server: its documentation's examples, what cannot be, and clients that mean harm."""

import asyncio
import gzip
import io
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.serve.servers import Served

e2b = pytest.importorskip("e2b_code_interpreter", reason="needs e2b-code-interpreter")
charts: Any = pytest.importorskip("e2b_code_interpreter.charts", reason="needs e2b-code-interpreter")

from e2b import (  # noqa: E402
    AuthenticationException,
    FileNotFoundException,
    NotFoundException,
    PtySize,
    SandboxException,
    TimeoutException,
)


@pytest.fixture(autouse=True)
def _here(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the SDK at the server, as its users do."""
    monkeypatch.setenv("E2B_API_KEY", server.keys["north"])
    monkeypatch.setenv("E2B_API_URL", f"{server.url}/e2b")
    monkeypatch.setenv("E2B_SANDBOX_URL", f"{server.url}/e2b")
    monkeypatch.setenv("E2B_HTTP_VERSION", "1.1")


@pytest.fixture
def sandbox(server: Served) -> Iterator[Any]:
    with e2b.Sandbox.create(metadata={"who": "Ada"}, envs={"MOOD": "calm"}) as sandbox:
        yield sandbox


def test_a_cell_prints_shows_and_keeps_its_names(sandbox: Any) -> None:
    seen: list[str] = []
    sandbox.run_code("x = 1")
    run = sandbox.run_code("x += 1\nprint('here')\nx", on_stdout=lambda message: seen.append(message.line))
    assert run.text == "2"
    assert "".join(run.logs.stdout) == "".join(seen) == "here\n"
    assert run.results[0].is_main_result
    assert run.execution_count == 2
    assert sandbox.run_code("import sys; print('no', file=sys.stderr); await_ = 3;").logs.stderr == ["no\n"]


def test_an_error_has_its_name_value_and_traceback(sandbox: Any) -> None:
    error = sandbox.run_code("def f():\n    1 / 0\nf()").error
    assert (error.name, error.value) == ("ZeroDivisionError", "division by zero")
    assert "line 2, in f" in error.traceback
    assert "cells" not in error.traceback
    assert sandbox.run_code("f").text.startswith("<function f")


def test_a_limit_ends_the_cell_and_not_the_sandbox(sandbox: Any) -> None:
    sandbox.run_code("x = 1")
    error = sandbox.run_code("x = 2\nwhile True: print('x' * 10_000)").error
    assert error.name == "OutputExceeded"
    assert "as it was before this run" in error.traceback
    assert sandbox.run_code("x").text == "1"


def test_a_cell_shows_what_its_objects_show(sandbox: Any) -> None:
    run = sandbox.run_code(
        "class Plot:\n"
        "    def _repr_html_(self): return '<b>plot</b>'\n"
        "    def _repr_png_(self): return b'\\x89PNG'\n"
        "    def __repr__(self): return 'a plot'\n"
        "display(Plot())\n"
        "Plot()"
    )
    assert [result.is_main_result for result in run.results] == [False, True]
    for result in run.results:
        assert (result.text, result.html, result.png) == ("a plot", "<b>plot</b>", "iVBORw==")
    assert not sandbox.run_code("Plot();").results
    failed = sandbox.run_code("from IPython.display import Markdown, display\ndisplay(Markdown('**no**'))\n1 / 0")
    assert (failed.results[0].markdown, failed.error.name) == ("**no**", "ZeroDivisionError")
    table = (
        "class Rows:\n"
        "    def _repr_mimebundle_(self):\n"
        '        return {\'application/json\': \'{"columns": ["a", "b"], "data": [[1, 2], [3, 4]]}\'}\n'
        "Rows()"
    )
    assert sandbox.run_code(table).results[0].data == {"a": [1, 3], "b": [2, 4]}


_FIGURES = """
import json, sys, types
from cloche_guest import displays
class Figure:
    def __init__(self, chart): self.chart = chart
    def savefig(self, file, **_): file.write(b'\\x89PNG')
for name in ('matplotlib', 'matplotlib.figure'): sys.modules[name] = types.ModuleType(name)
sys.modules['matplotlib'].rcParams = {'savefig.format': 'png'}
sys.modules['matplotlib.figure'].Figure = Figure
displays.figure_formats[:] = [lambda figure: {'application/vnd.e2b.chart+json': figure.chart}]
pie = {'type': 'pie', 'title': 'Tea', 'elements': [{'label': 'Mint', 'angle': 90, 'radius': 1.5}]}
"""


def test_figures_are_charts_as_well(sandbox: Any) -> None:
    sandbox.run_code(_FIGURES)
    result = sandbox.run_code(
        "Figure(json.dumps({'type': 'superchart', 'title': None, 'elements': [pie, pie]}))"
    ).results[0]
    assert result.png == "iVBORw=="
    assert isinstance(result.chart, charts.SuperChart)
    assert [type(each) for each in result.chart.elements] == [charts.PieChart] * 2
    assert vars(result.chart.elements[0].elements[0]) == {"label": "Mint", "angle": 90.0, "radius": 1.5}


def test_charts_of_another_shape_are_left_out(sandbox: Any) -> None:
    sandbox.run_code(_FIGURES)
    bad = (
        "[{}, [], 5, {**pie, 'type': 'x'}, {**pie, 'type': {}}, {**pie, 'title': 'x' * 2_000}, {**pie, 'more': 1},"
        " {**pie, 'elements': [{}]}, {**pie, 'elements': [{**pie['elements'][0], 'angle': 'x'}]},"
        " {**pie, 'elements': [{**pie['elements'][0], 'angle': float('nan')}]},"
        " {**pie, 'elements': pie['elements'] * 30_000},"
        " {**pie, 'type': 'line'}, {**pie, 'type': 'superchart', 'elements': [{**pie, 'type': 'superchart'}]}]"
    )
    run = sandbox.run_code(
        f"for each in {bad}: display(Figure(json.dumps(each)))\ndisplay(Figure('[' * 99_999), Figure('{{'))"
    )
    assert run.error is None
    assert [(result.png, result.chart) for result in run.results] == [("iVBORw==", None)] * 15


def test_environment_variables_are_the_sandboxs_or_the_cells(sandbox: Any) -> None:
    code = "import os; os.environ.get('MOOD'), os.environ.get('ONCE')"
    assert sandbox.run_code(code, envs={"ONCE": "1", "MOOD": "wild"}).text == "('wild', '1')"
    assert sandbox.run_code(code).text == "('calm', None)"


def test_contexts_have_names_of_their_own_and_share_files(sandbox: Any) -> None:
    context = sandbox.create_code_context(cwd="/home/user/project")
    sandbox.run_code("x = 'outside'; open('/home/user/a.txt', 'w').write('shared')")
    inside = sandbox.run_code(
        "import os; x = globals().get('x', 'none'); x, os.getcwd(), open('/home/user/a.txt').read()", context=context
    )
    assert inside.text == "('none', '/home/user/project', 'shared')"
    assert sandbox.run_code("import os; x, os.getcwd()").text == "('outside', '/home/user')"
    assert [each.id for each in sandbox.list_code_contexts()] == ["default", context.id]
    assert sandbox.run_code("x", context=context).text == "'none'"
    sandbox.restart_code_context(context)
    assert sandbox.run_code("x", context=context).error.name == "NameError"
    sandbox.remove_code_context(context)
    with pytest.raises(NotFoundException, match="not found"):
        sandbox.run_code("x", context=context)
    with pytest.raises(SandboxException, match="the default context stays"):
        sandbox.remove_code_context("default")
    assert sandbox.run_code("x").text == "'outside'"


def test_files_are_written_read_listed_and_moved(sandbox: Any) -> None:
    files = sandbox.files
    assert files.write("data/a.txt", "text").path == "/home/user/data/a.txt"
    assert files.write("/home/user/data/b.bin", io.BytesIO(b"\0\1" * 50_000)).name == "b.bin"
    assert files.write("data/c.txt", "packed" * 100, gzip=True).type.value == "file"
    assert files.read("data/a.txt") == "text"
    assert files.read("data/b.bin", format="bytes") == b"\0\1" * 50_000
    assert b"".join(files.read("data/c.txt", format="stream")) == b"packed" * 100
    assert sandbox.run_code("open('data/a.txt').read()").text == "'text'"
    both = files.write_files([{"path": "more/1", "data": "one"}, {"path": "more/2", "data": b"two"}])
    assert [each.path for each in both] == ["/home/user/more/1", "/home/user/more/2"]
    listed = {each.name: (each.type.value, each.size) for each in files.list("data")}
    assert listed == {"a.txt": ("file", 4), "b.bin": ("file", 100_000), "c.txt": ("file", 600)}
    assert [each.path for each in files.list("/home/user", depth=2) if each.name == "1"] == ["/home/user/more/1"]
    assert files.make_dir("made/here") is True
    assert files.make_dir("made/here") is False
    assert files.rename("data/a.txt", "made/a.txt").path == "/home/user/made/a.txt"
    assert files.get_info("made/a.txt").permissions == "-rw-r--r--"
    files.remove("data")
    assert not files.exists("data")
    gone: list[Callable[[], Any]] = [
        lambda: files.read("data/a.txt"),
        lambda: files.list("data"),
        lambda: files.remove("data"),
    ]
    for missing in gone:
        with pytest.raises(FileNotFoundException):
            missing()


def test_signed_addresses_are_for_one_file_and_one_way(sandbox: Any) -> None:
    up, down = sandbox.upload_url("s.txt"), sandbox.download_url("s.txt", use_signature_expiration=600)
    assert httpx.post(up, files={"file": ("s.txt", b"signed")}, timeout=60).status_code == 200
    assert httpx.get(down, timeout=60).content == b"signed"
    late = sandbox.download_url("s.txt", use_signature_expiration=-1)
    for bad in (up, down.replace("s.txt", "t.txt"), late, down.replace("v1_", "v1_A"), down + "0"):
        assert httpx.get(bad, timeout=60).status_code == 502


def test_what_cannot_be_says_so_in_e2bs_own_errors(sandbox: Any) -> None:
    with pytest.raises(SandboxException, match="no shell commands in this sandbox"):
        sandbox.commands.run("ls")
    with pytest.raises(SandboxException, match="no shell commands in this sandbox"):
        sandbox.pty.create(size=PtySize(80, 24))
    assert sandbox.commands.list() == []
    with pytest.raises(SandboxException, match="are not watched"):
        sandbox.files.watch_dir("/home/user")
    with pytest.raises(SandboxException, match="no language 'javascript'"):
        sandbox.run_code("1", language="javascript")
    with pytest.raises(SandboxException, match="no network"):
        e2b.Sandbox.create(allow_internet_access=True)
    with pytest.raises(SandboxException, match="there is no template 'mine'"):
        e2b.Sandbox.create("mine")
    assert "no shell commands" in sandbox.run_code("!ls").error.value
    assert "no network to get it from" in sandbox.run_code("!pip install polars").logs.stderr[0]
    assert sandbox.run_code("import polars; polars.DataFrame").error.name == "ModuleNotFoundError"
    assert sandbox.run_code("%pip install -q json\nlines = '''\n!ls'''\nlines").logs.stdout == [
        "Requirement already satisfied: json\n"
    ]
    assert sandbox.run_code("import socket; socket.create_connection(('example.org', 80))").error is not None


def test_a_client_that_stops_waiting_ends_its_cell(sandbox: Any) -> None:
    sandbox.run_code("x = 1")
    with pytest.raises(TimeoutException, match="Execution timed out"):
        sandbox.run_code("import time\nwhile True: time.sleep(0.01)", timeout=0.2)
    assert sandbox.run_code("x").text == "1"


def test_a_sandbox_is_paused_connected_to_and_killed(sandbox: Any) -> None:
    sandbox.run_code("x = 1")
    assert sandbox.get_info().metadata == {"who": "Ada"}
    assert sandbox.pause() is True
    assert sandbox.pause() is False
    assert not sandbox.is_running()
    with pytest.raises(TimeoutException):
        sandbox.run_code("x")
    query = e2b.SandboxQuery(state=[e2b.SandboxState.PAUSED], metadata={"who": "Ada"})
    assert sandbox.sandbox_id in [each.sandbox_id for each in e2b.Sandbox.list(query=query).next_items()]
    again = e2b.Sandbox.connect(sandbox.sandbox_id, timeout=60)
    assert again.run_code("x").text == "1"
    before = again.get_info().end_at
    again.set_timeout(600)
    assert again.get_info().end_at > before
    assert again.kill() is True
    assert again.kill() is False
    with pytest.raises(SandboxException, match="not found"):
        e2b.Sandbox.connect(sandbox.sandbox_id)


def test_a_timeout_kills_or_pauses(sandbox: Any) -> None:
    sandbox.set_timeout(0)
    assert not sandbox.is_running()
    pausing = e2b.Sandbox.create(timeout=0, lifecycle={"on_timeout": "pause"})
    try:
        assert pausing.get_info().state == e2b.SandboxState.PAUSED
        assert e2b.Sandbox.connect(pausing.sandbox_id, timeout=60).run_code("1").text == "1"
    finally:
        pausing.kill()


def test_a_sandbox_is_forked_and_begun_from_a_snapshot(sandbox: Any) -> None:
    sandbox.run_code("x = 1")
    forks = sandbox.fork(count=2)
    assert [each.run_code("x += 1; x").text for each in forks] == ["2", "2"]
    snapshot = sandbox.create_snapshot()
    assert e2b.Sandbox.create(snapshot.snapshot_id).run_code("x").text == "1"
    assert e2b.Sandbox.delete_snapshot(snapshot.snapshot_id) is True
    assert e2b.Sandbox.delete_snapshot(snapshot.snapshot_id) is False
    for each in forks:
        each.kill()


def test_sandboxes_are_listed_by_pages(server: Served) -> None:
    made = [e2b.Sandbox.create(metadata={"page": "yes"}) for _ in range(3)]
    pages = e2b.Sandbox.list(query=e2b.SandboxQuery(metadata={"page": "yes"}), limit=2)
    found = [each.sandbox_id for each in pages.next_items()]
    assert len(found) == 2
    while pages.has_next:
        found += [each.sandbox_id for each in pages.next_items()]
    assert sorted(found) == sorted(each.sandbox_id for each in made)
    for each in made:
        each.kill()


async def _use(key: str) -> tuple[str, str]:
    sandbox = await e2b.AsyncSandbox.create(api_key=key)
    run = await sandbox.run_code("6 * 7")
    await sandbox.files.write("a.txt", "text")
    text = await sandbox.files.read("a.txt")
    await sandbox.kill()
    return run.text, text


def test_the_async_client_works_too(server: Served) -> None:
    assert asyncio.run(_use(server.keys["north"])) == ("42", "text")


def test_another_tenants_sandbox_does_not_exist(server: Served, sandbox: Any) -> None:
    with pytest.raises(SandboxException, match="not found"):
        e2b.Sandbox.connect(sandbox.sandbox_id, api_key=server.keys["south"])
    assert e2b.Sandbox.kill(sandbox.sandbox_id, api_key=server.keys["south"]) is False
    with pytest.raises(AuthenticationException):
        e2b.Sandbox.create(api_key="e2b_no")


def test_hostile_requests_are_refused(server: Served, sandbox: Any) -> None:
    other = e2b.Sandbox.create(api_key=server.keys["south"])
    token = sandbox.traffic_access_token
    right = {"e2b-sandbox-id": sandbox.sandbox_id, "x-access-token": token}
    with httpx.Client(base_url=f"{server.url}/e2b", timeout=60) as http:
        strangers = [
            {},
            {"e2b-sandbox-id": sandbox.sandbox_id},
            {"e2b-sandbox-id": sandbox.sandbox_id, "x-access-token": other.traffic_access_token},
            {"e2b-sandbox-id": other.sandbox_id, "x-access-token": token},
            {"e2b-sandbox-id": sandbox.sandbox_id, "x-access-token": f"{token}x"},
            {"e2b-sandbox-id": sandbox.sandbox_id, "x-access-token": "north.e30.e30"},
            {"e2b-sandbox-id": "../..", "x-access-token": token},
        ]
        for headers in strangers:
            for answer in (
                http.post("/execute", json={"code": "1"}, headers=headers),
                http.get("/files", params={"path": "/work"}, headers=headers),
                http.get("/health", headers=headers),
            ):
                assert (answer.status_code, answer.json()["message"]) == (502, "the sandbox was not found")
        # A sandbox's token resumes no suspended run.
        resume = http.post(
            f"{server.url}/v1/resume",
            json={"token": token.partition(".")[2]},
            headers={"authorization": f"Bearer {server.keys['north']}"},
        )
        assert resume.status_code == 409
        bomb = gzip.compress(bytes(64 << 20))
        packed = {**right, "content-encoding": "gzip", "content-type": "application/octet-stream"}
        form = {**right, "content-type": "multipart/form-data; boundary=x"}
        bad: list[httpx.Response] = [
            http.post("/files", params={"path": "a"}, content=bomb, headers=packed),
            http.post("/files", params={"path": "a"}, content=b"no", headers=packed),
            http.post("/files", params={"path": "a\0b"}, content=b"x", headers=right),
            http.post("/files", content=b"x", headers=right),
            http.post("/files", content=b"--x\r\nno", headers=form),
            http.post("/files", content=b"x", headers={**right, "content-type": "multipart/form-data"}),
            http.post("/files", content=bytes(2 << 20), headers=right),
            http.post("/execute", content=b"[" * 100_000, headers=right),
            http.post("/execute", json={"code": 1}, headers=right),
            http.post("/execute", json={"code": "1", "env_vars": {"A": 1}}, headers=right),
            http.post("/execute", json={"code": "1", "context_id": "../.."}, headers=right),
            http.post("/contexts", json={"cwd": "/dev/null/x"}, headers=right),
            http.post("/filesystem.Filesystem/Stat", json={"path": "a\0b"}, headers=right),
            http.post("/filesystem.Filesystem/No", json={}, headers=right),
            http.get("/files", params={"path": "/home/user"}, headers=right),
        ]
        assert all(400 <= answer.status_code < 500 or answer.status_code == 501 for answer in bad), bad
        key = {"x-api-key": server.keys["north"]}
        worse = [
            http.post("/v2/sandboxes", json={"timeout": "1e9"}, headers=key),
            http.post("/v2/sandboxes", json={"timeout": 1e300}, headers=key),
            http.post("/v2/sandboxes", json={"metadata": {"a": "b" * 20_000}}, headers=key),
            http.post("/v2/sandboxes", json={"metadata": [1]}, headers=key),
            http.post("/v2/sandboxes", json={"templateID": "snap_no"}, headers=key),
            http.post(f"/sandboxes/{sandbox.sandbox_id}/fork", json={"count": 10**9}, headers=key),
            http.get("/v2/sandboxes", params={"limit": "99999"}, headers=key),
            http.get("/sandboxes/..%2F..", headers=key),
        ]
        assert all(400 <= answer.status_code < 500 for answer in worse), worse
    assert sandbox.run_code("'fine'").text == "'fine'"
    other.kill()


def test_few_requests_wait_for_a_cell_and_more_are_refused(server: Served, sandbox: Any) -> None:
    headers = {"e2b-sandbox-id": sandbox.sandbox_id, "x-access-token": sandbox.traffic_access_token}

    async def crowd() -> list[int]:
        async with httpx.AsyncClient(base_url=f"{server.url}/e2b", headers=headers, timeout=120) as http:
            code = "import time\nprint('begun')\nwhile True: time.sleep(0.01)"
            async with http.stream("POST", "/execute", json={"code": code}) as running:
                await anext(running.aiter_lines())
                asked = [asyncio.create_task(http.get("/files", params={"path": "no"})) for _ in range(40)]
                # Only those that are refused are answered while the cell runs.
                while sum(each.done() for each in asked) < 24:
                    await asyncio.wait([each for each in asked if not each.done()], return_when="FIRST_COMPLETED")
            return [(await each).status_code for each in asked]

    assert sorted(asyncio.run(crowd())) == [404] * 16 + [429] * 24


def test_a_program_that_means_harm_harms_its_own_sandbox_only(sandbox: Any) -> None:
    hostile = (
        "import sys\n"
        "step = sys.modules['cloche_guest.step']\n"
        "shown = {'text/plain': 5, 'image/png': b'x', 'application/json': '{'}\n"
        "lie = {'value': shown, 'count': 'x', 'entries': {1, 2}}\n"
        "step.run = lambda source, filename: lie"
    )
    sandbox.run_code(hostile)
    run = sandbox.run_code("1")
    assert (run.error, run.execution_count) == (None, 0)
    assert [(result.text, result.png) for result in run.results] == [(None, "eA==")]
    with pytest.raises(SandboxException):
        sandbox.files.list("/")


def test_smolagents_runs_its_programs_here(server: Served) -> None:
    smolagents: Any = pytest.importorskip("smolagents", reason="needs smolagents")
    models: Any = pytest.importorskip("smolagents.models")
    programs = [
        "<code>\ntotal = sum(numbers)\nprint('so far', total)\n</code>",
        "<code>\nimport statistics\nfinal_answer({'total': total, 'mean': statistics.mean(numbers)})\n</code>",
    ]

    class Scripted(smolagents.Model):  # type: ignore[misc]
        def generate(self, messages: Any, **_: Any) -> Any:
            return models.ChatMessage(role=models.MessageRole.ASSISTANT, content=programs.pop(0))

    with smolagents.CodeAgent(
        [], Scripted(), executor_type="e2b", additional_authorized_imports=["statistics"], verbosity_level=0
    ) as agent:
        assert agent.run("add", additional_args={"numbers": [1, 2, 6]}) == {"total": 9, "mean": 3}
        assert "so far 9" in agent.memory.steps[1].observations
