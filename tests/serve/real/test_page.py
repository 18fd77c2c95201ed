"""The page in a real browser: every view, a reload in the middle, lost connections, and output that means harm."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.serve.servers import Served, serving

from cloche.serve.tenants import hash_key, new_key

_driver = pytest.importorskip("playwright.sync_api", reason="needs playwright, of cloche[browser]")
expect: Any = _driver.expect
_BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(_BROWSER is None, reason="needs chromium on the PATH"),
    # The driver's own: it leaves a transport to the collector when it is stopped.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

_PATIENCE = 60_000
_DOCS = Path(__file__).parents[3] / "docs" / "images"
_AGENTS = r"""
from cloche import Limits
from cloche.agent import CodeAgent, ScriptedModel
from cloche.cli.demo.team import analyst, order, seeker, specialists

def _agent(*programs, **options):
    lines = [f"I think.\n<code>\n{program}\n</code>" for program in programs]
    def answer(request):
        said = sum(message.role == "assistant" for message in request.messages)
        return lines[min(said, len(lines) - 1)]
    return CodeAgent([], ScriptedModel(answer), **options)

TABLE = (
    "<table><tr><th>tea</th></tr><tr><td>Assam<script>window.harmed = 4</script></td>"
    "<td><img src=x onerror='window.harmed = 5'>12</td></tr></table>"
)
HARM = "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 2'>"

def hostile():
    return _agent(
        f"print({HARM!r})\nprint('\\x1b[31mred\\x1b[0m \\u202egnp.exe')\nopen('x.svg', 'w').write("
        f"'<svg xmlns=\"http://www.w3.org/2000/svg\"><script>window.harmed = 3</script></svg>')",
        f"final_answer({HARM!r})",
    )

def flooder():
    limits = Limits(output="16 MiB")
    return _agent("for n in range(10_240): print(f'{n:06} ' + 'x' * 1016)\nfinal_answer('flooded')", limits=limits)

def shower():
    program = "class Table:\n    def _repr_html_(self):\n        return " + repr(TABLE) + "\nTable()"
    return _agent(program, "final_answer('shown')")

def counter():
    return _agent(
        "import time\nfor n in range(60):\n    print(f'<{n}>')\n    time.sleep(0.1)", "final_answer('counted')"
    )

def many():
    return _agent(*[f"print('line {n}')" for n in range(95)], "final_answer('all')", max_steps=100)

def chief():
    programs = ["receipt = order('Mint', 2)", "final_answer(receipt)"]
    lines = [f"I buy.\n<code>\n{program}\n</code>" for program in programs]
    answer = lambda request: lines[min(sum(m.role == "assistant" for m in request.messages), 1)]
    buyer = CodeAgent([order], ScriptedModel(answer), name="buyer", description="Buys tea.")
    return _agent("said = await buyer('Buy Mint.')\nprint(said)", "final_answer(said)", managed_agents=[buyer])

def reader():
    return _agent("final_answer(open('note.txt').read())")
"""
_NAMES = ("analyst", "seeker", "specialists", "hostile", "flooder", "counter", "many", "reader", "shower", "chief")


@pytest.fixture(scope="module")
def admin_key() -> str:
    return new_key()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, admin_key: str) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("page")
    (folder / "page_agents.py").write_text(_AGENTS)
    agents = {("team" if name == "specialists" else name): f"page_agents:{name}" for name in _NAMES}
    tenants: dict[str, dict[str, Any]] = {
        "north": {"agents": agents, "limits": {"output": "16 MiB"}, "durable": "idle"},
        "south": {},
    }
    with serving(folder, tenants, audit="audit.log", admin_key=hash_key(admin_key)) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    expect.set_options(timeout=_PATIENCE)
    with _driver.sync_playwright() as driver:
        # As root, as in many containers, the browser has no sandbox of its own to start in.
        made = driver.chromium.launch(executable_path=_BROWSER, args=["--no-sandbox"] if os.getuid() == 0 else [])
        yield made
        made.close()


Open = Callable[..., Any]


@pytest.fixture
def window(browser: Any, served: Served) -> Iterator[Open]:
    """What opens the page with a tenant's key; at the end of the test no page may have complained on its console."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def listen(message: Any) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def make(view: str = "#/chat", tenant: str = "north", base: str = "", **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(_PATIENCE)
        page.on("console", listen)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{base or served.url}/ui/#key={served.keys[tenant]}")
        page.wait_for_selector("#views a[aria-current]")
        if view != "#/chat":
            page.goto(f"{served.url}/ui/{view}")
        return page

    yield make
    for context in contexts:
        context.close()
    # A connection that a test cuts is the test's own doing.
    left = [each for each in complaints if "net::ERR" not in each]
    assert left == []


def ask(page: Any, agent: str, task: str = "Do it.") -> None:
    """Give an agent a task."""
    page.wait_for_selector(f"#agent option[value={agent}]", state="attached")
    page.select_option("#agent", agent)
    page.fill("#task", task)
    page.click(".composer button[type=submit]")
    page.wait_for_url("**#/runs/**")


def over(page: Any) -> str:
    """Wait for the run's end, and return what is written about it."""
    page.wait_for_selector(".run:not(.earlier) .over")
    text: str = page.inner_text(".run:not(.earlier) .over")
    return text


def picture(page: Any, name: str) -> None:
    """Keep a screenshot for the guide, where CLOCHE_SCREENSHOTS asks for it."""
    if os.environ.get("CLOCHE_SCREENSHOTS"):
        _DOCS.mkdir(exist_ok=True)
        page.screenshot(path=str(_DOCS / f"{name}.png"))


def test_a_task_is_watched_and_its_call_corrected_after_a_reload_and_on_another_device(window: Open) -> None:
    page = window()
    ask(page, "analyst", "Which tea sold best? Draw the sales, and reorder the best one.")
    page.wait_for_selector(".approval")
    assert page.locator(".output").first.inner_text().startswith("Assam")
    assert page.locator("figure img").first.evaluate("image => image.complete && image.naturalWidth > 100")
    assert "Waits for you" in page.inner_text(".now")
    picture(page, "page-approval")
    page.reload()
    page.wait_for_selector(".approval")
    assert page.locator(".step").count() == 2
    other = window(page.url.split("/ui/")[1])
    other.wait_for_selector(".approval")
    other.get_by_label("cases").fill("lots")
    other.get_by_role("button", name="Approve").click()
    assert "is not JSON" in other.inner_text(".approval [role=alert]")
    other.get_by_label("cases").fill("12")
    other.get_by_role("button", name="Approve").click()
    for each in (page, other):
        assert "Done" in over(each)
        assert "Ordered 12 cases of Assam for $420" in each.inner_text(".answer")
        assert each.locator(".verdict").inner_text() == 'order: Approved with {"tea":"Assam","cases":12}'
    assert "$0.0008" in page.inner_text(".meters")
    page.fill("#task", "And which one sold worst?")
    page.click(".composer button[type=submit]")
    page.wait_for_selector(".earlier")
    over(page)
    assert "Mint sold worst" in page.locator(".answer").last.inner_text()
    assert page.locator(".task").all_inner_texts()[1] == "And which one sold worst?"


def test_a_call_is_denied_and_a_step_is_forked(window: Open) -> None:
    page = window()
    ask(page, "analyst")
    page.wait_for_selector(".approval")
    page.get_by_label("Reason for denying").fill("too dear")
    page.get_by_role("button", name="Deny").click()
    page.wait_for_selector(".verdict.bad")
    assert "too dear" in page.inner_text(".verdict")
    over(page)
    page.get_by_role("button", name="Fork from here").first.click()
    page.get_by_role("button", name="Fork", exact=True).click()
    page.wait_for_selector(".forked")
    page.wait_for_selector(".run:not(.earlier) .approval")
    assert page.locator(".earlier .step").count() == 1
    page.get_by_role("button", name="Stop").click()
    assert "Stopped" in over(page)


def test_a_managed_agents_call_is_answered_where_it_stands_after_a_reload(window: Open) -> None:
    page = window()
    ask(page, "chief")
    page.wait_for_selector(".nested .approval")
    page.reload()
    page.wait_for_selector(".nested .approval")
    assert "The agent buyer asks." in page.inner_text(".approval h4")
    page.get_by_label("cases").fill("3")
    page.get_by_role("button", name="Approve").click()
    assert "Done" in over(page)
    assert page.inner_text(".answer:not(.small)") == ("Ordered 3 cases of Mint for $105.")
    for _ in range(2):
        # As it came, and as it is read again: one box, in which the agent's steps follow each other.
        assert page.locator(".nested").count() == 1
        assert page.locator(".nested .step").count() == 2
        assert page.locator(".nested .verdict").inner_text() == 'order: Approved with {"tea":"Mint","cases":3}'
        page.reload()
        over(page)


def test_stop_ends_a_program_that_computes_and_no_other_run(window: Open) -> None:
    page, other = window(), window()
    for each in (page, other):
        ask(each, "seeker")
        each.wait_for_selector(".output:has-text('none among')")
    page.get_by_role("button", name="Stop").click()
    assert "Stopped" in over(page)
    assert other.inner_text(".now") == "Running"
    other.get_by_role("button", name="Stop").click()
    over(other)


class Line:
    """A line between browser and server that can be cut: each connection of it, at any byte."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                theirs = socket.create_connection(("127.0.0.1", self._port))
                self._ends += [ours, theirs]
                for source, target in ((ours, theirs), (theirs, ours)):
                    threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """Cut all connections that there are."""
        ends, self._ends = self._ends, []
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        """Cut it for good."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()


def test_a_lost_connection_loses_and_doubles_nothing(window: Open, served: Served) -> None:
    line = Line(int(served.url.rsplit(":", 1)[1]))
    page = window(base=f"http://127.0.0.1:{line.port}")
    ask(page, "counter")
    for number in (3, 8, 15):
        page.wait_for_selector(f".output:has-text('<{number}>')")
        line.cut()
    page.wait_for_selector(".output:has-text('<20>')")
    page.reload()
    page.wait_for_selector(".output:has-text('<25>')")
    line.cut()
    over(page)
    shown = re.findall(r"<(\d+)>", page.inner_text(".output"))
    assert shown == [str(number) for number in range(60)]
    assert page.inner_text(".answer") == "counted"
    page.goto("about:blank")
    line.close()


def test_agents_that_are_called_stand_inside_of_their_calls(window: Open) -> None:
    page = window()
    ask(page, "team", "Which of the numbers n! + 1 are prime?")
    over(page)
    assert page.locator(".call .nested summary").all_inner_texts().count("Agent maths") == 1
    assert page.locator(".call .nested").count() == 2


def test_what_programs_write_is_text(window: Open) -> None:
    page = window()
    ask(page, "hostile", "<b>bold</b>")
    over(page)
    assert page.inner_text(".task") == "<b>bold</b>"
    assert "<script>window.harmed = 1</script>" in page.inner_text(".output")
    assert "\u241b[31mred" in page.inner_text(".output")
    assert "\u202e" not in page.inner_text(".run")
    assert "onerror" in page.inner_text(".answer")
    assert page.evaluate("window.harmed") is None
    assert page.locator(".run script, .run b").count() == 0
    page.goto(page.url.split("#")[0] + "#/chat")
    ask(page, "shower")
    over(page)
    assert page.locator("figure td").all_inner_texts()[1:] == ["12"]
    assert page.locator("figure td *, figure th *").count() == 0
    assert page.evaluate("window.harmed") is None


def test_ten_megabytes_of_output_are_shown_in_part(window: Open) -> None:
    page = window()
    ask(page, "flooder")
    over(page)
    assert page.inner_text(".answer") == "flooded"
    assert page.evaluate("document.querySelector('.output').textContent.length") < 100_000
    page.get_by_role("button", name="Show all that was printed").click()
    assert page.evaluate("document.querySelector('.output').textContent.length") > 1_000_000


def test_a_long_run_is_there_at_once(window: Open, capsys: pytest.CaptureFixture[str]) -> None:
    page = window()
    ask(page, "many")
    over(page)
    page.goto("about:blank")
    page.go_back()
    page.wait_for_selector(".run .step")
    milliseconds = page.evaluate("performance.now()")
    over(page)
    assert page.locator(".step").count() == 96
    with capsys.disabled():
        print(f"\n{page.url.rsplit('/')[-1]}: first steps after {milliseconds:.0f} ms")


def test_files_go_up_and_down(window: Open) -> None:
    page = window()
    page.set_input_files("#files", {"name": "note.txt", "mimeType": "text/plain", "buffer": b"read me"})
    ask(page, "reader")
    over(page)
    assert page.inner_text(".answer") == "read me"
    with page.expect_download() as waiting:
        page.get_by_role("button", name="note.txt").click()
    assert Path(waiting.value.path()).read_bytes() == b"read me"


def test_runs_are_filtered_shared_and_compared(window: Open, browser: Any, served: Served) -> None:
    page = window()
    ask(page, "team", "first of two")
    over(page)
    page.get_by_role("button", name="Copy link").click()
    link = page.locator("#chosen a").get_attribute("href")
    page.goto(f"{served.url}/ui/#/chat")
    ask(page, "team", "second of two")
    over(page)
    page.goto(f"{served.url}/ui/#/runs")
    page.fill("#words", "of two")
    expect(page.locator("tbody tr")).to_have_count(2)
    for box in page.locator("tbody input").all():
        box.check()
    page.get_by_role("button", name="Compare two").click()
    expect(page.locator(".two .over")).to_have_count(2)
    reader = browser.new_context().new_page()
    reader.goto(link)
    reader.wait_for_selector(".over")
    assert reader.inner_text(".task") == "first of two"
    assert reader.locator("button:has-text('Fork')").count() == 0
    # What was sealed for one run opens no other, and without the seal nothing.
    assert reader.evaluate("fetch('/v1/agent-runs').then(answer => answer.status)") == 401
    reader.context.close()


def test_a_session_is_explored(window: Open) -> None:
    page = window("#/sessions")
    page.get_by_role("button", name="New session").click()
    page.fill("#code", "x = [1, 2]\nprint('<i>hi</i>')\nopen('a.txt', 'w').write('content')\nx")
    page.get_by_role("button", name="Run").click()
    page.wait_for_selector(".card td code:has-text('[1, 2]')")
    assert page.inner_text(".output").strip() == "<i>hi</i>"
    page.set_input_files("#upload", {"name": "b.txt", "mimeType": "text/plain", "buffer": b"up"})
    page.wait_for_selector("button:has-text('/work/b.txt')")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="/work/a.txt").click()
    assert Path(waiting.value.path()).read_bytes() == b"content"
    page.get_by_role("button", name="Snapshot").click()
    page.wait_for_selector(".tree .tree button:has-text('Restore'), .tree ul button:has-text('Restore')")
    page.get_by_role("button", name="Fork", exact=True).click()
    page.wait_for_selector(".tree ul a")
    picture(page, "page-session")
    page.locator(".tree ul a").click()
    page.wait_for_selector(".card td code:has-text('[1, 2]')")
    page.fill("#code", "while True: pass")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector(".error:has-text('interrupted')")


def test_the_operator_sees_tenants_workers_and_the_audit_log(window: Open, admin_key: str) -> None:
    page = window("#/admin")
    page.fill("#admin-key", admin_key)
    page.get_by_role("button", name="Enter").click()
    page.wait_for_selector("h2:has-text('Audit log')")
    text = page.inner_text("main")
    for word in ("north", "south", "w1", "usage"):
        assert word in text, (word, text)
    page.get_by_role("button", name="Drain", exact=True).first.click()
    expect(page.locator("#said")).to_have_text(re.compile("is drained"))


_HOST = """
<iframe sandbox="allow-scripts" title="app" style="width: 700px; height: 900px"></iframe>
<script>
  // A chat program, as the page of an MCP App sees it: it passes results in, and calls of tools on.
  const frame = document.querySelector("iframe");
  const send = (message) => frame.contentWindow.postMessage({ jsonrpc: "2.0", ...message }, "*");
  window.calls = [];
  const start = (html, result) => {
    frame.srcdoc = html;
    addEventListener("message", async ({ source, data }) => {
      if (source !== frame.contentWindow) return;
      if (data.method === "ui/initialize") send({ id: data.id, result: { protocolVersion: "2026-01-26" } });
      const begins = data.method === "ui/notifications/initialized";
      if (begins) send({ method: "ui/notifications/tool-result", params: result });
      if (data.method !== "tools/call") return;
      calls.push(data.params);
      send({ id: data.id, result: await callTool(data.params.name, data.params.arguments) });
    });
  };
</script>
"""


def test_a_users_chat_shows_a_run_and_answers_its_call(browser: Any, served: Served) -> None:
    pytest.importorskip("mcp", reason="needs cloche[mcp]")
    import httpx2
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async def use(name: str, arguments: dict[str, Any] | None) -> Any:
        headers = {"authorization": f"Bearer {served.keys['north']}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=120) as http,
            streamable_http_client(f"{served.url}/mcp", http_client=http) as streams,
            ClientSession(streams[0], streams[1]) as client,
        ):
            await client.initialize()
            if arguments is None:
                (tool,) = [tool for tool in (await client.list_tools()).tools if tool.name == name]
                assert tool.meta is not None
                return (await client.read_resource(tool.meta["ui"]["resourceUri"])).contents[0].text  # type: ignore[union-attr]
            result = await client.call_tool(name, arguments)
            return result.model_dump(mode="json", by_alias=True, exclude_none=True)

    def call(name: str, arguments: dict[str, Any] | None = None) -> Any:
        # The browser's driver has this thread's loop.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(use(name, arguments))).result()

    page = browser.new_page(viewport={"width": 760, "height": 960})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.expose_function("callTool", call)
    page.set_content(_HOST)
    first = call("ask_analyst", {"task": "Which tea sold best? Draw the sales, and reorder the best one."})
    page.evaluate("([html, result]) => start(html, result)", [call("ask_analyst"), first])
    app = page.frame_locator("iframe")
    expect(app.locator(".approval h2")).to_have_text("Approve order?")
    assert app.locator("img").first.evaluate("image => image.decode().then(() => image.naturalWidth > 100)")
    assert 'order("Assam", cases=40)' in app.locator(".log").inner_text()
    picture(page, "page-mcp")
    app.get_by_label("cases").fill("lots")
    app.get_by_role("button", name="Approve").click()
    expect(app.locator("[role=alert]")).to_have_text("Write numbers and lists as JSON.")
    app.get_by_label("cases").fill("12")
    app.get_by_role("button", name="Approve").click()
    expect(app.locator(".answer")).to_have_text(re.compile("Ordered 12 cases of Assam"))
    assert page.evaluate("calls.length") == 1
    assert complaints == []
    page.close()


def test_links_and_the_operators_requests_are_in_the_audit_log(served: Served, admin_key: str) -> None:
    with served.http() as http:
        run = http.post("/v1/agent-runs", json={"agent": "reader", "task": "t", "files": {"note.txt": "YQ=="}}).json()[
            "id"
        ]
        link = http.post(f"/v1/agent-runs/{run}/link").json()["link"].rpartition("/")[2]
    with httpx.Client(base_url=served.url, timeout=60) as stranger:
        assert "event: over" in stranger.get(f"/v1/shared-runs/{link}/events").text
        assert stranger.get("/v1/shared-runs/north.no/events").status_code in (400, 403, 404)
        assert stranger.get("/v1/admin").status_code == 401
        assert stranger.get("/v1/admin", headers={"authorization": f"Bearer {admin_key}"}).status_code == 200
    text = (served.folder / "audit.log").read_text()
    assert link not in text
    lines = [json.loads(line) for line in text.splitlines()]
    kept = [(line["action"], line["tenant"], line.get("by"), line["status"]) for line in lines]
    assert ("follow_shared_run", "north", "link", 200) in kept
    assert any(action == "follow_shared_run" and status >= 400 for action, _, _, status in kept)
    assert ("admin_overview", None, None, 401) in kept
    assert ("admin_overview", None, "operator", 200) in kept
    assert any(line["action"] == "follow_shared_run" and line["run"] == run for line in lines)


def test_keys_keyboard_and_a_narrow_screen(window: Open, served: Served) -> None:
    page = window("#/chat", "south", viewport={"width": 390, "height": 780}, color_scheme="dark")
    expect(page.locator(".about")).to_have_text(re.compile("has no agents"))
    assert page.evaluate("document.documentElement.scrollWidth <= 390")
    page.get_by_role("button", name="Change key").click()
    page.fill("#key", served.keys["north"])
    page.keyboard.press("Enter")
    page.wait_for_selector("#agent option[value=analyst]", state="attached")
    page.select_option("#agent", "analyst")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("/")
    page.keyboard.type("By keyboard")
    page.keyboard.press("Enter")
    page.wait_for_selector(".approval")
    picture(page, "page-narrow")
    assert page.evaluate("document.documentElement.scrollWidth <= 390")
    assert "approval is needed: order" in page.inner_text("#said")
    page.locator(".approval input").first.focus()
    page.keyboard.press("Enter")
    over(page)
    # Whatever can be pressed or filled in says what it is.
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input, select, textarea, a')].filter(each => !each.hidden && !("
        "each.textContent.trim() || each.labels?.length || each.getAttribute('aria-label')))"
        ".map(each => each.outerHTML)"
    )
    assert unnamed == []


def test_the_page_allows_nothing_but_itself(served: Served) -> None:
    http = served.http()
    answer = http.get("/ui/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert (
        http.get("/ui/main.js", headers={"if-none-match": http.get("/ui/main.js").headers["etag"]}).status_code == 304
    )
    assert http.get("/ui/../app.py").status_code == 404
    assert http.get("/ui/%2e%2e/app.py").status_code == 404
    assert not re.search(r"(src|href)=\"(https?:)?//", answer.text)
    assert http.get("/v1/admin").status_code == 401


def test_the_command_prints_where_the_page_is(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cloche", "ui", "--port", "0", "--store", str(tmp_path / "store")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert re.search(r"http://127.0.0.1:\d+/ui/#key=ck_[\w-]+&admin=ck_", line), line
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        process.stdout.close()
    assert process.returncode == 0
