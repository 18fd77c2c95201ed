"""What smolagents' guides do, as programs of our own: they run after their import lines were changed, and nothing else.

A sample begins with what the model says, one line for each request, and with what the sample prints:

    #> a program          #? a tool call: its name and arguments          #! plain text          #= printed

When its lines are used up, the model gives the answer "fine".
"""

import re
import sys
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.agent.real.chat_server import Answer, ChatServer, chat_server

from cloche.agent.models.litellm import LiteLLMModel

for extra in ("litellm", "ddgs", "httpx", "markdownify", "sqlalchemy", "PIL", "huggingface_hub", "mcp", "anyio"):
    pytest.importorskip(extra, reason=f"a sample needs {extra}")

pytestmark = pytest.mark.filterwarnings("ignore")

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.txt"))
MCP_SERVER = Path(__file__).parents[2] / "host_tools" / "unit" / "external" / "mcp_server.py"


class Script(ChatServer):
    """Gives the sample's lines in order, and the answer when they are used up."""

    def next(self, request: dict[str, Any], key: str) -> Answer:
        self.requests.append(request)
        if self.answers:
            return self.answers.pop(0)
        if request.get("tools"):
            return [{"name": "final_answer", "arguments": '{"answer": "fine"}'}]
        return program('final_answer("fine")')


def program(text: str) -> str:
    return f"Let me see.\n<code>\n{text}\n</code>"


def answers(sample: str) -> list[Answer]:
    found: list[Answer] = []
    for kind, text in re.findall(r"^#([>?!]) (.*)$", sample, re.M):
        if kind == ">":
            found.append(program(text.replace("\\n", "\n")))
        elif kind == "!":
            found.append(text)
        else:
            name, _, arguments = text.partition(" ")
            found.append([{"name": name, "arguments": arguments}])
    return found


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Generator[ChatServer]:
    """A scripted model that takes the place of all that LiteLLM reaches, and no other place on the network."""
    with chat_server() as script:
        script.__class__ = Script
        arguments: Any = vars(LiteLLMModel)["_arguments"]

        def redirected(model: Any, request: Any, stream: bool) -> dict[str, Any]:
            asked: dict[str, Any] = arguments(model, request, stream)
            assert asked["model"] == model.name
            return {**asked, "model": "openai/local", "api_base": script.url, "api_key": "none"}

        def target(_: Any) -> Any:
            from cloche.agent.models.litellm import litellm_module

            return litellm_module()

        for kind in (LiteLLMModel, *LiteLLMModel.__subclasses__()):
            monkeypatch.setattr(kind, "_target", target)
        monkeypatch.setattr(LiteLLMModel, "_arguments", redirected)
        monkeypatch.setattr("ddgs.DDGS", Engine)
        monkeypatch.setattr("huggingface_hub.list_models", listed)
        monkeypatch.setenv("GUIDE_MCP_SERVER", str(MCP_SERVER))
        yield script


class Found:
    """A repository on the Hub."""

    def __init__(self, id: str) -> None:
        self.id = id


def listed(**asked: Any) -> Any:
    return iter([Found(f"org/best-of-{asked['filter']}")])


class Engine:
    """A search engine that finds one page for everything."""

    def __init__(self, **_: Any) -> None:
        pass

    def text(self, query: str, **_: Any) -> list[dict[str, str]]:
        return [{"title": query, "href": "https://example.com", "body": "A page."}]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_runs_after_its_import_lines_were_changed(
    path: Path, server: ChatServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = path.read_text(encoding="utf-8")
    changed = re.sub(r"^from smolagents[\w.]* import", "from cloche import", sample, flags=re.M)
    assert "smolagents" not in changed
    server.answers = answers(sample)
    module = ModuleType("sample")
    monkeypatch.setitem(sys.modules, "sample", module)
    # Its code can be read again, as that of a file can.
    exec(compile(changed, str(path), "exec"), vars(module))
    printed = capsys.readouterr().out
    for expected in re.findall(r"^#= (.*)$", sample, re.M):
        assert expected in printed, f"{expected!r} is not in {printed!r}"
    assert server.answers == []
