"""What guides reach outside of the process, on this machine: a scripted model, a Hub, an app, MCP servers, search.

Packages that guides use beside smolagents, and that are not installed here, have stand-ins with the few names needed.
"""

import base64
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest
from tests.agent.real.chat_server import Answer, ChatServer, chat_server
from tests.host_tools.unit.external.hub_server import hub_server
from tests.host_tools.unit.external.space_server import TEXT, space_server

from cloche.agent.models.litellm import LiteLLMModel

__all__ = ["MCP_SERVER", "Script", "mcp_server", "outside", "program", "scripted_models"]

HAS_GRADIO = find_spec("gradio") is not None
MCP_SERVER = Path(__file__).parents[2] / "host_tools" / "unit" / "external" / "mcp_server.py"


class Script(ChatServer):
    """Gives its answers in order, and the answer "fine" when they are used up."""

    def next(self, request: dict[str, Any], key: str) -> Answer:
        self.requests.append(request)
        if self.answers:
            return self.answers.pop(0)
        if request.get("tools"):
            return [{"name": "final_answer", "arguments": '{"answer": "fine"}'}]
        return program('final_answer("fine")')


def program(text: str) -> str:
    """Return a reply with this program."""
    return f"Let me see.\n<code>\n{text}\n</code>"


@contextmanager
def scripted_models(monkeypatch: pytest.MonkeyPatch) -> Generator[ChatServer]:
    """Have a scripted model take the place of all that LiteLLM reaches, and a search engine that of the web's."""
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
        yield script


class Found:
    """A repository on the Hub."""

    def __init__(self, id: str) -> None:
        self.id = id


def listed(**asked: Any) -> Iterator[Found]:
    """Find one model for each task."""
    return iter([Found(f"org/best-of-{asked['filter']}")])


class Engine:
    """A search engine that finds one page for everything."""

    def __init__(self, **_: Any) -> None:
        pass

    def text(self, query: str, **_: Any) -> list[dict[str, str]]:
        return [{"title": query, "href": "https://example.com", "body": "A page."}]


TOOL_CODE = """
from smolagents import Tool

class Made(Tool):
    name = "{name}"
    description = "Makes something of a text."
    inputs = {{"text": {{"type": "string", "description": "The text."}}}}
    output_type = "string"

    def forward(self, text: str) -> str:
        return text.upper()
"""
_TOOLS = {"m-ric/text-to-image": "image_generator", "user/hf-model-downloads": "model_download_counter"}
_COLLECTION = "huggingface-tools/diffusion-tools-6630bb19a942c2306a2cdb6f"


@contextmanager
def outside(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Generator[ChatServer]:
    """Have all that guides name be on this machine, with ``folder`` as the working folder and nothing else reached."""
    with ExitStack() as stack:
        script = stack.enter_context(scripted_models(monkeypatch))
        hub, app = stack.enter_context(hub_server()), stack.enter_context(space_server())
        for repo_id, name in _TOOLS.items():
            hub.commit(repo_id, {"tool.py": TOOL_CODE.format(name=name)})
        hub.collections[_COLLECTION] = [("space", "m-ric/text-to-image")]
        hub.spaces["black-forest-labs/FLUX.1-schnell"] = {
            "host": app.url,
            "runtime": {"stage": "RUNNING", "hardware": {}},
        }
        app.parameters = [app.parameter("prompt", TEXT)]
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.endpoint)
        places = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", places)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub"))
        monkeypatch.setattr("huggingface_hub.login", lambda *_, **__: None)
        monkeypatch.chdir(folder)
        monkeypatch.setenv("PATH", str(_commands(folder)), prepend=":")
        for name, module in _absent().items():
            monkeypatch.setitem(sys.modules, name, module)
        _stay_here(monkeypatch)
        if HAS_GRADIO:
            stack.enter_context(_pages(monkeypatch))
        yield script


_ARTICLES = """
from mcp.server.mcpserver import MCPServer

server = MCPServer("articles", log_level="ERROR")


@server.tool()
def search_articles(words: str) -> str:
    'Find articles.'
    return "one article"


server.run()
"""


def _commands(folder: Path) -> Path:
    """Make commands that guides start servers with: ``uvx`` starts one of ours whatever it is asked for."""
    commands = folder / "bin"
    commands.mkdir()
    server = folder / "articles.py"
    server.write_text(_ARTICLES, encoding="utf-8")
    for name, what in (("uvx", f'"{sys.executable}" "{server}"'), ("python", f'"{sys.executable}" "$@"')):
        path = commands / name
        path.write_text(f"#!/bin/sh\nexec {what}\n", encoding="utf-8")
        path.chmod(0o755)
    return commands


@contextmanager
def _pages(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Have pages of the real Gradio be served without waiting for Ctrl-C, and closed in the end."""
    blocks: Any = import_module("gradio").Blocks
    launch, launched = blocks.launch, list[Any]()

    def served(page: Any, **options: Any) -> Any:
        launched.append(page)
        return launch(page, prevent_thread_lock=True, quiet=True, **options)

    monkeypatch.setattr(blocks, "launch", served)
    try:
        yield
    finally:
        for page in launched:
            page.close()


def _stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    find = socket.getaddrinfo

    def local(host: Any, *args: Any, **options: Any) -> Any:
        if host not in ("127.0.0.1", "localhost", "::1", None):
            raise socket.gaierror(socket.EAI_NONAME, f"no network in tests: {host}")
        return find(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", local)


# Packages with a part of their own below; of the others any name will do.
_OTHERS = (
    "helium",
    "selenium",
    "selenium.webdriver",
    "selenium.webdriver.common",
    "selenium.webdriver.common.by",
    "selenium.webdriver.common.keys",
)


def _absent() -> dict[str, ModuleType]:
    made: dict[str, Any] = {name: MagicMock(name=name, __path__=[], __spec__=None) for name in _OTHERS}
    if not HAS_GRADIO:
        made["gradio"] = MagicMock(name="gradio")
    made["helium"].get_driver().get_screenshot_as_png.return_value = _PNG
    loaders = {"AutoModelForCausalLM": _Loader(_Weights), "AutoTokenizer": _Loader(_Tokenizer)}
    made["transformers"] = _module("transformers", **loaders)
    made["datasets"] = _module("datasets", load_dataset=lambda *_, **__: _Rows(_ROWS))
    made["langchain"] = _module("langchain", __path__=[])
    made["langchain.agents"] = _module("langchain.agents", load_tools=lambda names: [_LangchainTool(n) for n in names])
    made["langchain.docstore"] = _module("langchain.docstore", __path__=[])
    made["langchain.docstore.document"] = _module("langchain.docstore.document", Document=_Document)
    made["langchain.text_splitter"] = _module("langchain.text_splitter", RecursiveCharacterTextSplitter=_Splitter)
    made["langchain_community"] = _module("langchain_community", __path__=[])
    made["langchain_community.retrievers"] = _module("langchain_community.retrievers", BM25Retriever=_Retriever)
    return made


def _module(name: str, **names: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(names)
    return module


class _Loader:
    def __init__(self, kind: type) -> None:
        self._kind = kind

    def from_pretrained(self, *_: Any, **__: Any) -> Any:
        return self._kind()


class _Inputs(dict[str, Any]):
    def to(self, _: str) -> "_Inputs":
        return self


class _Tokenizer:
    """One whose tokens are letters."""

    def apply_chat_template(self, messages: list[dict[str, Any]], **_: Any) -> _Inputs:
        return _Inputs(input_ids=[[0]])

    def decode(self, tokens: list[int], **_: Any) -> str:
        return "".join(map(chr, tokens))


class _Weights:
    device = "here"

    def generate(self, input_ids: Any, **_: Any) -> list[list[int]]:
        return [[*input_ids[0], *map(ord, program('final_answer("fine")'))]]


# One white pixel.
_PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAG7buVgAAAABJRU5ErkJggg==")
_ROWS = [{"text": "A forward pass computes. A backward pass follows.", "source": "huggingface/transformers/docs"}]


class _Rows(list[dict[str, str]]):
    def filter(self, keep: Any) -> "_Rows":
        return _Rows(row for row in self if keep(row))


class _Document:
    def __init__(self, page_content: str, metadata: dict[str, Any]) -> None:
        self.page_content, self.metadata = page_content, metadata


class _Splitter:
    def __init__(self, **_: Any) -> None:
        pass

    def split_documents(self, documents: list[_Document]) -> list[_Document]:
        return documents


class _Retriever:
    def __init__(self, documents: list[_Document]) -> None:
        self._documents = documents

    @classmethod
    def from_documents(cls, documents: list[_Document], k: int) -> "_Retriever":
        return cls(documents[:k])

    def invoke(self, _: str) -> list[_Document]:
        return self._documents


class _LangchainTool:
    """A tool as LangChain has them: a name, a description, arguments and run()."""

    def __init__(self, name: str) -> None:
        self.name, self.description = name, f"Searches with {name}."
        self.tool_call_schema = {"type": "object", "properties": {"query": {"type": "string"}}}

    def invoke(self, arguments: Any) -> str:
        return f"found {arguments}"


@contextmanager
def mcp_server() -> Generator[str]:
    """Serve MCP over HTTP; gives the address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(MCP_SERVER), "http", str(port)], stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait()
