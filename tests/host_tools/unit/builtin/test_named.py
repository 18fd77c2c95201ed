"""The built-in tools by smolagents' names: what they ask for, and what they answer."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("httpx", reason="the extra 'web' is not installed")
pytest.importorskip("markdownify", reason="the extra 'web' is not installed")

from cloche.host_tools import ToolFailed
from cloche.host_tools.builtin import (
    DuckDuckGoSearchTool,
    FinalAnswerTool,
    GoogleSearchTool,
    PythonInterpreterTool,
    UserInputTool,
    VisitWebpageTool,
    WebSearchTool,
    WikipediaSearchTool,
)
from cloche.host_tools.builtin._http import Browser, Page
from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import Limits

from .servers import Site


class Asked:
    """Requests that are answered here, and not by the network."""

    def __init__(self, answer: Any, status: int = 200) -> None:
        self.answer = answer
        self.status = status
        self.query: dict[str, list[str]] = {}
        self.place = ""
        self.headers: dict[str, str] = {}

    def __call__(self, method: str, url: str, check: Any, *, headers: Any = None, body: Any = None) -> Page:
        parts = urlsplit(url)
        self.place, self.query, self.headers = f"{parts.netloc}{parts.path}", parse_qs(parts.query), dict(headers(None))
        text = self.answer if isinstance(self.answer, str) else json.dumps(self.answer)
        answered = {"content-type": "application/json"}
        return Page(url=url, status=self.status, headers=answered, body=text.encode(), truncated=False)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Asked:
    found = Asked(*request.param) if isinstance(request.param, tuple) else Asked(request.param)
    monkeypatch.setattr(Browser, "request", staticmethod(found))
    monkeypatch.setenv("SERPAPI_API_KEY", "secret")
    monkeypatch.setenv("SERPER_API_KEY", "other")
    return found


def found(query: str, count: int) -> Any:
    return [{"title": query, "url": "https://e", "text": str(count)}] if query != "nothing" else []


@pytest.mark.parametrize("kind", [WebSearchTool, DuckDuckGoSearchTool])
def test_a_search_gives_a_list_in_markdown(kind: Any) -> None:
    tool = kind(max_results=3, backend=found, rate_limit=1.0)
    assert tool.name == "web_search"
    assert tool("word") == "## Search Results\n\n[word](https://e)\n3"
    assert tool("nothing").startswith("No results")


RESULT = {"title": "T", "link": "https://l", "snippet": "S"}


@pytest.mark.parametrize("asked", [{"organic_results": [RESULT, 3]}], indirect=True)
def test_google_is_searched_with_a_key_that_is_not_shown(asked: Asked) -> None:
    tool = GoogleSearchTool()
    assert tool("word", filter_year=2024).startswith("## Search Results\n\n[T](https://l)\nS")
    assert asked.place == "serpapi.com/search.json"
    assert (asked.query["q"], asked.query["api_key"]) == (["word"], ["secret"])
    assert asked.query["tbs"] == ["cdr:1,cd_min:01/01/2024,cd_max:12/31/2024"]
    assert "secret" not in repr(tool.spec())


@pytest.mark.parametrize("asked", [{"organic": [RESULT]}], indirect=True)
def test_another_provider_gets_its_key_as_a_header(asked: Asked) -> None:
    assert "[T](https://l)" in GoogleSearchTool(provider="serper")("word")
    assert asked.headers == {"x-api-key": "other"}
    assert "api_key" not in asked.query


def test_google_without_a_key_or_a_provider_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERPAPI_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="SERPAPI_API_KEY"):
        GoogleSearchTool()
    other: Any = "altavista"
    with pytest.raises(ConfigurationError, match="altavista"):
        GoogleSearchTool(provider=other)


PAGES = {"query": {"pages": [{"title": "Hugging Face", "extract": "A company."}]}}


@pytest.mark.parametrize("asked", [PAGES], indirect=True)
def test_wikipedia_gives_an_article(asked: Asked) -> None:
    text = WikipediaSearchTool(user_agent="me", language="fr", content_type="summary")("hugging face")
    assert text == "# Hugging Face\n\nA company.\n\nRead more: https://fr.wikipedia.org/wiki/Hugging_Face"
    assert asked.place == "fr.wikipedia.org/w/api.php"
    assert (asked.query["gsrsearch"], asked.query["exintro"], asked.query["explaintext"]) == (
        ["hugging face"],
        ["1"],
        ["1"],
    )
    assert asked.headers == {"user-agent": "me"}


@pytest.mark.parametrize("asked", [{"batchcomplete": True}], indirect=True)
def test_wikipedia_without_an_article_says_so(asked: Asked) -> None:
    assert "no article about 'x'" in WikipediaSearchTool()("x")


@pytest.mark.parametrize("asked", [("gone", 503), ("not json",), ("[1]",)], indirect=True)
def test_bad_answers_are_failures_or_nothing(asked: Asked) -> None:
    tool = WikipediaSearchTool()
    if asked.answer == "[1]":
        assert "no article" in tool("x")
        return
    with pytest.raises(ToolFailed, match=r"answered 503|no JSON"):
        tool("x")


def test_wikipedia_takes_no_other_host_as_a_language() -> None:
    with pytest.raises(ConfigurationError, match="language"):
        WikipediaSearchTool(language="evil.example/")


def test_a_page_is_visited(web: Site) -> None:
    tool = VisitWebpageTool(max_output_length=10, private=["127.0.0.1"])
    assert tool.name == "visit_webpage"
    assert tool(web.serve("/", "<h1>A long title</h1>")).startswith("# A long t\n[cut")


def test_code_is_interpreted_in_a_sandbox_of_its_own() -> None:
    tool = PythonInterpreterTool(["numpy"], limits=Limits(fuel=50_000_000))
    assert "value: 4" in tool("x = 2\nx + 2")
    assert "NameError" in tool("x")
    assert "FuelExhausted" in tool("while True: pass")


def test_the_others_have_smolagents_names() -> None:
    assert UserInputTool(lambda _: "yes").name == "user_input"
    assert UserInputTool(lambda _: "yes")("Sure?") == "yes"
    assert FinalAnswerTool()(3) == 3
