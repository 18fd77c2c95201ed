"""The usual tools by the names, with the arguments and with the answers that smolagents' tools have."""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote, urlencode

from cloche.host_tools.builtin.user import AskUser, FinalAnswer
from cloche.host_tools.builtin.web import Backend, Hit, ReadPage, WebSearch
from cloche.host_tools.errors import ToolFailed
from cloche.host_tools.json_schema import as_dict, as_list
from cloche.host_tools.tools import Tool
from cloche.runtime._imports import need
from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import Limits
from cloche.runtime.sandbox import Sandbox

__all__ = [
    "DuckDuckGoSearchTool",
    "FinalAnswerTool",
    "GoogleSearchTool",
    "PythonInterpreterTool",
    "UserInputTool",
    "VisitWebpageTool",
    "WebSearchTool",
    "WikipediaSearchTool",
]


def _listed(hits: Sequence[Hit]) -> str:
    if not hits:
        return "No results: try fewer or other words."
    return "## Search Results\n\n" + "\n\n".join(f"[{hit['title']}]({hit['url']})\n{hit['text']}" for hit in hits)


class WebSearchTool(Tool):
    """Search the web and return the best results as a list in Markdown, each with title, address and a piece of text.

    Args:
        query: the words to search for
    """

    name = "web_search"

    def __init__(self, max_results: int = 10, backend: Backend | None = None, **_: Any) -> None:
        """Search as :class:`cloche.host_tools.builtin.WebSearch` does, by default through ``ddgs``, without a key.

        Raises ConfigurationError where the extra ``cloche[search]`` is not installed.
        """
        self._count = max_results
        self._search = WebSearch(backend)

    def forward(self, query: str) -> str:
        """Search."""
        return _listed(self._search.forward(query, self._count))


class DuckDuckGoSearchTool(WebSearchTool):
    """Search the web and return the best results as a list in Markdown, each with title, address and a piece of text.

    Args:
        query: the words to search for
    """


_PROVIDERS = {
    "serpapi": ("SERPAPI_API_KEY", "https://serpapi.com/search.json", "organic_results"),
    "serper": ("SERPER_API_KEY", "https://google.serper.dev/search", "organic"),
}


class GoogleSearchTool(Tool):
    """Search Google and return the best results as a list in Markdown, each with title, address and a piece of text.

    Args:
        query: the words to search for
        filter_year: only pages of this year
    """

    name = "web_search"

    def __init__(self, provider: Literal["serpapi", "serper"] = "serpapi", **fetching: Any) -> None:
        """Search through a provider, whose key is in SERPAPI_API_KEY or SERPER_API_KEY; the tool never shows it.

        Other keywords are those of a Browser. Raises ConfigurationError for another provider, without its key, or where
        the extra ``cloche[web]`` is not installed.
        """
        if provider not in _PROVIDERS:
            raise ConfigurationError("provider", f"{provider!r} is not one of {', '.join(_PROVIDERS)}")
        variable, self._place, self._field = _PROVIDERS[provider]
        self._key = os.environ.get(variable, "")
        if not self._key:
            raise ConfigurationError("provider", f"{provider} needs its key in the variable {variable}")
        self._get = _json_getter(fetching)

    def forward(self, query: str, filter_year: int | None = None) -> str:
        """Search."""
        dates = {} if filter_year is None else {"tbs": f"cdr:1,cd_min:01/01/{filter_year},cd_max:12/31/{filter_year}"}
        asked = {"q": query, "engine": "google", "google_domain": "google.com", **dates}
        serper = self._field == "organic"
        headers = {"x-api-key": self._key} if serper else {}
        found = self._get(self._place, asked if serper else {**asked, "api_key": self._key}, headers)
        hits = [
            Hit(title=str(one.get("title", "")), url=str(one.get("link", "")), text=str(one.get("snippet", "")))
            for one in map(as_dict, as_list(found.get(self._field)))
        ]
        return _listed(hits)


class WikipediaSearchTool(Tool):
    """Look a topic up in Wikipedia and return its article: title, text and address.

    Args:
        query: the topic
    """

    name = "wikipedia_search"

    def __init__(
        self,
        user_agent: str = "Cloche (https://pypi.org/project/cloche)",
        language: str = "en",
        content_type: Literal["summary", "text"] = "text",
        extract_format: str = "WIKI",
        **fetching: Any,
    ) -> None:
        """Look up in the Wikipedia of ``language``: the ``summary`` of an article or its whole ``text``.

        ``user_agent`` says who asks, as Wikipedia wants to know; ``extract_format="HTML"`` keeps the markup. Other
        keywords are those of a Browser. Raises ConfigurationError for a language that is none, or where the extra
        ``cloche[web]`` is not installed.
        """
        if not language.replace("-", "").isalnum() or not language.isascii():
            raise ConfigurationError("language", f"{language!r} is not a language's code, such as 'en'")
        self._site = f"https://{language}.wikipedia.org"
        self._agent = user_agent
        plain = {} if extract_format.upper() == "HTML" else {"explaintext": "1"}
        self._extract = {**plain, **({"exintro": "1"} if content_type == "summary" else {})}
        self._get = _json_getter(fetching)

    def forward(self, query: str) -> str:
        """Look it up."""
        asked = {
            "action": "query",
            "format": "json",
            "formatversion": "2",
            "prop": "extracts",
            "redirects": "1",
            "generator": "search",
            "gsrsearch": query,
            "gsrlimit": "1",
            **self._extract,
        }
        found = self._get(f"{self._site}/w/api.php", asked, {"user-agent": self._agent})
        page = as_dict(next(iter(as_list(as_dict(found.get("query")).get("pages"))), None))
        if not page:
            return f"Wikipedia has no article about {query!r}: try other words."
        title = str(page.get("title", ""))
        address = f"{self._site}/wiki/{quote(title.replace(' ', '_'))}"
        return f"# {title}\n\n{page.get('extract') or ''}\n\nRead more: {address}"


def _json_getter(fetching: Mapping[str, Any]) -> Callable[[str, Mapping[str, str], Mapping[str, str]], dict[str, Any]]:
    browser: Any = need("cloche.host_tools.builtin._http", "web").Browser(**fetching)

    def anywhere(_: Any) -> None:
        """Which connections are made is the network's own rule."""

    def get(place: str, asked: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, Any]:
        def given(_: Any) -> Mapping[str, str]:
            return headers

        page = browser.request("GET", f"{place}?{urlencode(asked)}", anywhere, headers=given)
        if page.status >= 400:
            raise ToolFailed("RuntimeError", f"the service answered {page.status}")
        try:
            found = json.loads(page.text())
        except ValueError:
            raise ToolFailed("RuntimeError", "the service answered with something that is no JSON") from None
        return as_dict(found)

    return get


class VisitWebpageTool(ReadPage):
    """Read a web page and return its text as Markdown.

    Args:
        url: the page's address, http or https
    """

    name = "visit_webpage"

    def __init__(self, max_output_length: int = 40_000, **reading: Any) -> None:
        """Return at most ``max_output_length`` characters; other keywords are those of ReadPage."""
        super().__init__(characters=max_output_length, **reading)


class PythonInterpreterTool(Tool):
    """Run Python code and return what it printed and its last value. Nothing is kept from one call to the next.

    Args:
        code: the code to run; everything it needs must be in it
    """

    name = "python_interpreter"

    def __init__(self, authorized_imports: Iterable[str] = (), *, limits: Limits | None = None) -> None:
        """Run each code in a fresh sandbox; default of ``limits``: ``Limits(time=60)``.

        ``authorized_imports`` is not needed: all that the guest holds may be imported.
        """
        self._sandbox = Sandbox(limits=Limits(time=60) if limits is None else limits)

    def forward(self, code: str) -> str:
        """Run it; an error in it is part of the answer."""
        return str(self._sandbox.run(code))


class FinalAnswerTool(FinalAnswer):
    """Give the final answer to the task. Call it once, when the task is done.

    Args:
        answer: the answer, of any type that can leave the sandbox
    """


class UserInputTool(AskUser):
    """Ask the user a question and return the answer.

    Args:
        question: what to ask, in one or a few sentences
    """

    name = "user_input"
