"""The browser's tools on local pages, in a real Chromium; and addresses that no page may reach."""

import shutil
from collections.abc import Generator

import pytest

pytest.importorskip("playwright.sync_api", reason="the extra 'browser' is not installed")
pytest.importorskip("httpx", reason="the extra 'web' is not installed")
pytest.importorskip("PIL", reason="pillow is not installed")
if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
    pytest.skip("no Chromium is installed on this machine", allow_module_level=True)

from cloche.agent import CodeAgent, ScriptedModel
from cloche.host_tools import ToolFailed, ToolRejected
from cloche.host_tools.builtin import WebBrowser
from cloche.runtime.errors import ConfigurationError

from .servers import Site

FORM = """<title>Form</title><h1>Search</h1><p>Two needles: needle and needle.</p>
<form action="/found"><label>Words <input name="q"></label><button>Go</button></form>
<a href="/second">To the second</a><button onclick="document.title = 'Pressed'">Press</button>"""
SECOND = "<title>Second</title><p>The second page. <a href='/form'>Home</a></p>" + "<p>line</p>" * 3000


@pytest.fixture(scope="module")
def browser() -> Generator[WebBrowser]:
    with WebBrowser(private=["127.0.0.1"], time=60) as opened:
        yield opened


@pytest.fixture
def form(web: Site) -> str:
    web.serve("/second", SECOND)
    web.serve("/found", "<title>Found</title><p>Here you are.</p>")
    return web.serve("/form", FORM)


def test_a_page_is_opened_read_and_left(browser: WebBrowser, form: str) -> None:
    assert browser.open_page(form).splitlines()[:2] == ["Form", form]
    assert browser.click("second").startswith("Second\n")
    assert "more characters: page_text(start=8000)" in browser.page_text()
    assert "second page" not in browser.page_text(start=8000)
    assert browser.scroll() == "scrolled"
    assert browser.go_back().startswith("Form\n")
    assert browser.url == form


def test_text_is_found_and_forms_are_filled_in(browser: WebBrowser, form: str) -> None:
    browser.open_page(form)
    assert browser.find_on_page("needle").startswith("1 of 1: Two needles")
    with pytest.raises(ToolRejected, match="0 times"):
        browser.find_on_page("haystack")
    assert browser.click("Press").startswith("Pressed\n")
    with pytest.raises(ToolRejected, match="there is no 1"):
        browser.click("Nothing of the kind")
    assert "q=two+words" in browser.type_text("Words", "two words", submit=True)


def test_the_window_is_seen(browser: WebBrowser, form: str) -> None:
    browser.open_page(form)
    assert browser.screenshot().startswith(b"\x89PNG")
    assert browser.picture().size == (1000, 1350)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "chrome://version", "javascript:1", "example.com"])
def test_other_schemes_are_refused(browser: WebBrowser, url: str) -> None:
    with pytest.raises(ToolRejected, match="no address of the web"):
        browser.open_page(url)


def test_addresses_that_are_not_allowed_cannot_be_reached(web: Site) -> None:
    page = web.serve("/", "<p>inside</p>")
    with WebBrowser(time=60) as outside:
        for url in (page, page.replace("127.0.0.1", "localhost"), "http://169.254.169.254/latest"):
            with pytest.raises(ToolFailed, match="net::"):
                outside.open_page(url)


def test_a_page_reaches_no_other_address_either(browser: WebBrowser, web: Site) -> None:
    script = """<title>start</title><script>
      fetch("http://127.0.0.2:%s/").then(() => document.title = "reached", () => document.title = "refused")
    </script>"""
    url = web.serve("/script", script % web.url("/").split(":")[2].strip("/"))
    browser.open_page(url)
    while "start" in browser.page_text().splitlines()[0]:
        pass
    assert browser.page_text().startswith("refused\n")


def test_an_agent_sees_what_it_browses(browser: WebBrowser, form: str) -> None:
    programs = [f"print(open_page({form!r}))", "print(click('second')[:30], screenshot())", "final_answer('seen')"]
    model = ScriptedModel([f"<code>\n{program}\n</code>" for program in programs])
    with CodeAgent(browser.tools, model, step_callbacks=[browser.watch]) as agent:
        assert agent.run("Look at the second page.") == "seen"
        steps = agent.memory.actions
    assert [len(step.images) for step in steps] == [0, 0, 1]
    assert "Second" in steps[1].observation
    assert steps[1].observation.endswith(f"Open page: {form.replace('/form', '/second')}")
    shown = [part for message in model.requests[2].messages for part in message.content if part.type == "image"]
    assert len(shown) == 1


def test_without_a_browser_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigurationError, match="no browser is installed"):
        WebBrowser()
