"""Tools on the Hub, by the real huggingface_hub and a Hub on this machine."""

import json
import os
import sys
from typing import Any, Literal

import pytest

pytest.importorskip("huggingface_hub")

from tests.host_tools.unit.external.hub_server import HubServer

from cloche import Sandbox
from cloche.host_tools import FunctionTool, HubError, RemoteCodeRefused, Tool, ToolDefinitionError, tool
from cloche.host_tools.external import ToolCollection, from_langchain, load_tool, push_tool
from cloche.host_tools.external.origins import from_origin
from cloche.host_tools.tools import origin_of
from cloche.runtime.errors import ConfigurationError

CODE = '''
from cloche.host_tools import tool

@tool
def shout(text: str) -> str:
    """Say it loud."""
    return text.upper()
'''
LIMIT = 3


@tool
def join(parts: list[str], by: Literal["/", "-"] = "/") -> str:
    """Join the parts.

    Args:
        parts: What to join.
        by: What to put in between.
    """
    return json.dumps(by.join(parts))


class Counter(Tool):
    """Counts its calls."""

    name = "counter"

    def __init__(self, start: int = 0) -> None:
        self.count = start

    def forward(self) -> int:
        """Count."""
        self.count += 1
        return self.count


def test_a_tool_comes_from_the_hub_and_programs_call_it(hub: HubServer, at: Any) -> None:
    sha = hub.commit("owner/shout", {"tool.py": CODE})
    shout = load_tool("owner/shout", trust_remote_code=True, **at)
    assert Sandbox(tools=[shout]).run("shout('hey')").unwrap() == "HEY"
    assert (shout.description, origin_of(shout)) == ("Say it loud.", f"hf://spaces/owner/shout@{sha}")


@pytest.mark.parametrize("load", [load_tool, Tool.from_hub, ToolCollection.from_hub])
def test_without_trust_nothing_is_even_fetched(hub: HubServer, at: Any, load: Any) -> None:
    hub.commit("owner/shout", {"tool.py": "raise SystemExit"})
    with pytest.raises(RemoteCodeRefused, match="pass trust_remote_code=True") as caught:
        load("owner/shout", **at)
    assert isinstance(caught.value, ConfigurationError)
    assert hub.asked == []


def test_a_commit_names_the_same_code_for_ever(hub: HubServer, at: Any) -> None:
    first = hub.commit("owner/shout", {"tool.py": CODE})
    hub.commit("owner/shout", {"tool.py": CODE.replace("upper", "lower")})
    assert load_tool("owner/shout", trust_remote_code=True, **at)("Hey") == "hey"
    assert load_tool("owner/shout", trust_remote_code=True, revision=first, **at)("Hey") == "HEY"


def test_the_same_tool_again_by_its_origin(hub: HubServer, at: Any) -> None:
    hub.commit("owner/shout", {"tool.py": CODE})
    origin = origin_of(load_tool("owner/shout", trust_remote_code=True, **at))
    hub.commit("owner/shout", {"tool.py": "raise SystemExit"})
    assert from_origin("shout", origin, trust_remote_code=True, **at)("Hey") == "HEY"
    with pytest.raises(RemoteCodeRefused):
        from_origin("shout", origin, **at)


def test_what_is_in_the_cache_needs_no_hub(hub: HubServer, at: Any) -> None:
    hub.commit("owner/shout", {"tool.py": CODE})
    load_tool("owner/shout", trust_remote_code=True, **at)
    hub.asked.clear()
    assert load_tool("owner/shout", trust_remote_code=True, local_files_only=True, **at)("a") == "A"
    assert hub.asked == []
    with pytest.raises(HubError, match="disk cache"):
        load_tool("owner/other", trust_remote_code=True, local_files_only=True, **at)


def test_nothing_of_the_cache_is_written_by_running_it(hub: HubServer, at: Any) -> None:
    hub.commit("owner/shout", {"tool.py": CODE})
    load_tool("owner/shout", trust_remote_code=True, **at)
    assert [path.name for path in at["cache_dir"].rglob("*.py*")] == ["tool.py"]


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"README.md": "x"}, "there is no tool.py"),
        ({"tool.py": "#" * (2 << 20)}, r"tool.py has 2 MiB or more, and at most 1 MiB are read"),
    ],
)
def test_what_is_not_there_or_too_large(hub: HubServer, at: Any, files: dict[str, str], problem: str) -> None:
    hub.commit("owner/x", files)
    with pytest.raises(HubError, match=problem):
        load_tool("owner/x", trust_remote_code=True, **at)
    assert not any(asked.startswith("GET") for asked in hub.asked)


@pytest.mark.parametrize(("repo_id", "problem"), [("owner/none", "Repository"), ("../../etc", "HFValidationError")])
def test_a_repository_that_is_not_there(at: Any, repo_id: str, problem: str) -> None:
    with pytest.raises(HubError, match=problem):
        load_tool(repo_id, trust_remote_code=True, **at)


def test_a_size_that_is_a_lie_gains_nothing(hub: HubServer, at: Any) -> None:
    hub.commit("owner/x", {"tool.py": "#" * (2 << 20)})
    hub.claims["tool.py"] = 10
    with pytest.raises(HubError):
        load_tool("owner/x", trust_remote_code=True, **at)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("x = (", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit", "SystemExit"),
        ("import no_such_package", "needs no_such_package, which is not installed"),
        ("x = 1", "it defines no tool"),
        (f"{CODE}\n{CODE.replace('shout', 'other')}", r"2 tools \(other, shout\)"),
        ("from cloche.host_tools import Tool\nclass T(Tool):\n  name = 't'\n  def __init__(s, key): ...\n"
         "  def forward(s) -> int: return 1", "T cannot be made"),
    ],
)  # fmt: skip
def test_code_that_is_no_tool_says_why(hub: HubServer, at: Any, code: str, problem: str) -> None:
    hub.commit("owner/x", {"tool.py": code})
    modules = set(sys.modules)
    with pytest.raises(ToolDefinitionError, match=problem):
        load_tool("owner/x", trust_remote_code=True, **at)
    if "1 / 0" in code:
        assert set(sys.modules) == modules


def test_a_plain_function_and_a_class_with_arguments(hub: HubServer, at: Any) -> None:
    hub.commit("owner/plain", {"tool.py": "def double(x):\n    return 2 * x"})
    assert load_tool("owner/plain", trust_remote_code=True, **at).invoke([4], {}) == 8
    push_tool(Counter(), "owner/counter", **at)
    counter = load_tool("owner/counter", trust_remote_code=True, arguments={"start": 41}, **at)
    assert counter.invoke([], {}) == 42
    with pytest.raises(ToolDefinitionError, match="takes no arguments"):
        load_tool("owner/plain", trust_remote_code=True, arguments={"start": 41}, **at)


@pytest.mark.parametrize("imported", ["from smolagents import Tool", "from smolagents.tools import Tool as Tool"])
def test_a_tool_of_smolagents_with_that_package_and_without(hub: HubServer, at: Any, imported: str) -> None:
    code = (
        f"{imported}\n"
        "class Shout(Tool):\n"
        "    name = 'shout'\n    description = 'Loud.'\n    output_type = 'string'\n"
        "    inputs = {'text': {'type': 'string', 'description': 'what'}}\n"
        "    def forward(self, text: str) -> str:\n        return text.upper()\n"
    )
    hub.commit("owner/shout", {"tool.py": code})
    shout = load_tool("owner/shout", trust_remote_code=True, **at)
    assert Sandbox(tools=[shout]).run("shout('hey')").unwrap() == "HEY"


def test_there_and_back(hub: HubServer, at: Any) -> None:
    sha = join.push_to_hub("me/join", private=True, **at)
    assert sorted(hub.files("me/join")) == ["README.md", "requirements.txt", "tool.py"]
    assert hub.sent[0].get("private") or hub.sent[0]["visibility"] == "private"
    back = load_tool("me/join", trust_remote_code=True, revision=sha, **at)
    assert back.invoke([["a", "b"]], {"by": "-"}) == '"a-b"'
    assert back.spec() == join.spec()
    # What came from there can be shared again, and a second push is a second commit.
    assert back.push_to_hub("me/again", **at)
    assert join.push_to_hub("me/join", create_pr=True, commit_message="Again", **at)
    assert hub.sent[-1] == {"summary": "Again", "query": "create_pr=1"}


def test_a_shared_tool_is_its_own_code_and_nothing_else_of_its_module(hub: HubServer, at: Any) -> None:
    join.push_to_hub("me/join", **at)
    code = hub.files("me/join")["tool.py"].decode()
    assert code.startswith("from cloche import tool\nfrom typing import Literal\nimport json\n\n\n@tool\n")
    assert "LIMIT" not in code
    assert "pytest" not in code
    assert hub.files("me/join")["requirements.txt"] == b"cloche\n"


def uses_its_module() -> int:
    return LIMIT


def uses_another() -> str:
    return os.sep + join(["a"])


def around() -> Any:
    inside = 3

    def uses_what_is_around() -> int:
        return inside

    return uses_what_is_around


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (uses_its_module, "'LIMIT' of its module"),
        (uses_another, "'join' of its module"),
        (around(), "'inside' of the function around it"),
        (lambda: 1, "no definition"),
        (eval("len"), "source cannot be read"),
    ],
)
def test_a_tool_that_does_not_stand_by_itself_is_not_shared(
    hub: HubServer, at: Any, function: Any, problem: str
) -> None:
    with pytest.raises(ToolDefinitionError, match=problem):
        FunctionTool(function, name="it", typed=False).push_to_hub("me/it", **at)
    assert hub.asked == []


def test_tools_made_elsewhere_are_not_shared(at: Any) -> None:
    langchain: Any = pytest.importorskip("langchain_core.tools")

    def double(x: int) -> int:
        """Double."""
        return 2 * x

    with pytest.raises(ToolDefinitionError, match="made elsewhere"):
        from_langchain(langchain.tool(double)).push_to_hub("me/it", **at)


def test_a_collection_is_the_tools_of_its_spaces(hub: HubServer, at: Any) -> None:
    hub.commit("owner/shout", {"tool.py": CODE})
    hub.commit("owner/whisper", {"tool.py": CODE.replace("shout", "whisper").replace("upper", "lower")})
    items = [("space", "owner/whisper"), ("model", "owner/model"), ("space", "owner/shout")]
    hub.collections["owner/tools-1"] = items
    tools = ToolCollection.from_hub("owner/tools-1", trust_remote_code=True, **at)
    assert [one.name for one in tools.tools] == ["whisper", "shout"]
    assert Sandbox(tools=tools).run("shout('a') + whisper('B')").unwrap() == "Ab"
    hub.collections["owner/tools-1"] = [("space", f"owner/{number}") for number in range(101)]
    with pytest.raises(HubError, match="at most 100"):
        ToolCollection.from_hub("owner/tools-1", trust_remote_code=True, **at)
    with pytest.raises(HubError, match="the collection owner/none-1"):
        ToolCollection.from_hub("owner/none-1", trust_remote_code=True, **at)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'cloche\[hub\]'"):
        load_tool("owner/x", trust_remote_code=True)
    monkeypatch.setitem(sys.modules, "gradio_client", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'cloche\[gradio\]'"):
        Tool.from_space("http://127.0.0.1:9", "x")


def test_a_commit_in_between_is_noticed(hub: HubServer, at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit("owner/shout", {"tool.py": CODE})
    found = hub.found

    def moving(kind: str, repo_id: str, revision: str) -> Any:
        now = found(kind, repo_id, revision)
        hub.commit("owner/shout", {"tool.py": f"#{len(hub.asked)}"})
        return now

    monkeypatch.setattr(hub, "found", moving)
    with pytest.raises(HubError, match="newer commit"):
        load_tool("owner/shout", trust_remote_code=True, **at)


def test_what_fails_in_its_code_is_shown_with_its_lines(hub: HubServer, at: Any) -> None:
    hub.commit("owner/fails", {"tool.py": "def fails():\n    return 1 / 0  # here"})
    with pytest.raises(ZeroDivisionError) as caught:
        load_tool("owner/fails", trust_remote_code=True, **at)()
    assert "return 1 / 0  # here" in str(caught.traceback[-1].statement)
    assert str(caught.traceback[-1].path).endswith("tool.py")
