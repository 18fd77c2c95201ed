"""Agents on the Hub, by the real huggingface_hub and a Hub on this machine."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("huggingface_hub")

from tests.host_tools.unit.external.hub_server import HubServer

from cloche.agent import (
    CodeAgent,
    InferenceClientModel,
    LiteLLMModel,
    MultiStepAgent,
    OpenAIModel,
    PromptTemplates,
    RunBudget,
    ScriptedModel,
    ToolCallingAgent,
)
from cloche.host_tools import FunctionTool, HubError, RemoteCodeRefused, Tool, ToolDefinitionError, tool
from cloche.host_tools.builtin import AskUser
from cloche.host_tools.external import load_tool
from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import Limits

MODEL = ScriptedModel([])


@tool
def double(x: int) -> int:
    """Double a number."""
    return 2 * x


def offset(x: int) -> int:
    return x + len(__file__)


def manager(**options: Any) -> CodeAgent:
    low = ToolCallingAgent([double], MODEL, name="low", description="Low.", budget=RunBudget(tokens=7))
    return CodeAgent([double], MODEL, managed_agents=[low], instructions="Be brief.", imports=["math"], **options)


def rewritten(hub: HubServer, repo_id: str, **changes: Any) -> None:
    data = json.loads(hub.files(repo_id)["agent.json"])
    hub.commit(repo_id, {"agent.json": json.dumps({**data, **changes})})


def test_there_and_back_with_the_code_of_its_tools(hub: HubServer, at: Any) -> None:
    agent = manager()
    sha = agent.push_to_hub("me/agent", **at)
    assert sorted(hub.files("me/agent")) == ["README.md", "agent.json", "requirements.txt", "tools/double.py"]
    back = MultiStepAgent.from_hub("me/agent", MODEL, trust_remote_code=True, revision=sha, **at)
    assert isinstance(back, CodeAgent)
    assert back.tools["double"].invoke([21], {}) == 42
    assert back.managed_agents["low"].tools["double"].invoke([4], {}) == 8
    assert (back.settings.instructions, back.imports, back.prompts) == ("Be brief.", ("math",), agent.prompts)


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (LiteLLMModel("anthropic/claude", api_key="secret", temperature=0), "LiteLLMModel:anthropic/claude"),
        (OpenAIModel("gpt", api_key="secret"), "OpenAIModel:gpt"),
        (
            InferenceClientModel("org/model", provider="together", token="secret"),
            "InferenceClientModel:org/model:together",
        ),
    ],
)
def test_an_agent_that_is_trusted_asks_the_model_that_was_its_own(
    hub: HubServer, at: Any, model: Any, named: str
) -> None:
    ToolCallingAgent([], model).push_to_hub("me/agent", **at)
    text = hub.files("me/agent")["agent.json"].decode()
    assert json.loads(text)["model"] == named
    assert "secret" not in text
    back = MultiStepAgent.from_hub("me/agent", trust_remote_code=True, **at)
    assert (type(back.model), back.model.name) == (type(model), model.name)  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match=f"it names {named}, which trust_remote_code=True would ask"):
        MultiStepAgent.from_hub("me/agent", **at)


@pytest.mark.parametrize("model", [MODEL, OpenAIModel("gpt", api_base="http://127.0.0.1:9/v1")])
def test_a_model_at_a_place_of_its_own_is_not_named(hub: HubServer, at: Any, model: Any) -> None:
    ToolCallingAgent([], model).push_to_hub("me/agent", **at)
    assert "model" not in json.loads(hub.files("me/agent")["agent.json"])
    with pytest.raises(ConfigurationError, match="it names none"):
        MultiStepAgent.from_hub("me/agent", trust_remote_code=True, **at)
    rewritten(hub, "me/agent", model="os:system")
    with pytest.raises(ConfigurationError, match="names no class of models"):
        MultiStepAgent.from_hub("me/agent", trust_remote_code=True, **at)


def test_without_trust_it_is_settings_and_text_with_tools_of_ones_own(hub: HubServer, at: Any) -> None:
    manager().push_to_hub("me/agent", **at)
    with pytest.raises(RemoteCodeRefused, match=r"tool 'double' \(tools/double.py\).*pass trust_remote_code=True"):
        MultiStepAgent.from_hub("me/agent", MODEL, **at)
    mine = FunctionTool(lambda x: x, name="double", typed=False)
    back = MultiStepAgent.from_hub("me/agent", MODEL, tools=[mine], **at)
    assert back.tools["double"] is mine
    assert not any("tools/double.py" in asked for asked in hub.asked)


@pytest.mark.parametrize("where", ["os:system", "tools/x.py", "hf://spaces/a/b", "gradio:http://127.0.0.1:9#/x", ""])
def test_no_tool_of_a_strangers_choice_without_trust(hub: HubServer, at: Any, where: str) -> None:
    ToolCallingAgent([], MODEL).push_to_hub("me/agent", **at)
    rewritten(hub, "me/agent", tools=[{"name": "x", "from": where}])
    hub.asked.clear()
    with pytest.raises(RemoteCodeRefused, match="the tool 'x'"):
        MultiStepAgent.from_hub("me/agent", MODEL, **at)
    assert {asked.rpartition("/")[2] for asked in hub.asked} == {"agent.json"}


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a/b", "x\n"])
def test_a_name_is_no_path(hub: HubServer, at: Any, name: str) -> None:
    ToolCallingAgent([], MODEL).push_to_hub("me/agent", **at)
    rewritten(hub, "me/agent", tools=[{"name": name, "from": "tools/x.py"}])
    with pytest.raises(ToolDefinitionError, match="identifier"):
        MultiStepAgent.from_hub("me/agent", MODEL, trust_remote_code=True, **at)


def test_templates_of_prompts_need_trust_or_ones_own(hub: HubServer, at: Any) -> None:
    agent = ToolCallingAgent([], MODEL)
    own = PromptTemplates.of({"plan": "{% for _ in range(9) %}plan{% endfor %}"}, over=agent.prompts)
    ToolCallingAgent([], MODEL, prompts=own).push_to_hub("me/agent", **at)
    assert list(json.loads(hub.files("me/agent")["agent.json"])["prompts"]) == ["plan"]
    with pytest.raises(RemoteCodeRefused, match="templates"):
        MultiStepAgent.from_hub("me/agent", MODEL, **at)
    assert MultiStepAgent.from_hub("me/agent", MODEL, prompts=agent.prompts, **at).prompts == agent.prompts
    assert MultiStepAgent.from_hub("me/agent", MODEL, trust_remote_code=True, **at).prompts == own


def test_looser_limits_need_trust_or_ones_own(hub: HubServer, at: Any) -> None:
    CodeAgent([], MODEL, limits=Limits(time=None)).push_to_hub("me/agent", **at)
    with pytest.raises(ConfigurationError, match=r"asks for time=None \(default 60.*pass limits="):
        MultiStepAgent.from_hub("me/agent", MODEL, **at)
    tight: Any = MultiStepAgent.from_hub("me/agent", MODEL, limits=Limits(time=3), **at)
    assert tight.limits.time == 3
    low = CodeAgent([], MODEL, name="low", description="Low.", limits=Limits(memory="1 GiB"))
    CodeAgent([], MODEL, managed_agents=[low]).push_to_hub("me/top", **at)
    with pytest.raises(ConfigurationError, match="asks for memory"):
        MultiStepAgent.from_hub("me/top", MODEL, limits=Limits(), **at)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", '{"version": 1}', '{"version": 1, "kind": "other"}', '{"version": "1", "kind": "tool_calling"}',
        '{"version": 1, "kind": "code"}', '{"version": 1, "kind": "tool_calling", "module": "os"}',
        '{"version": 1, "kind": "tool_calling", "tools": ["os:system"]}',
        '{"version": 1, "kind": "code", "limits": {"power": 1}, "tags": ["a", "b"]}',
        '{"version": 1, "kind": "tool_calling", "managed_agents": ' + "[" * 100_000,
        '{"version": 1, "kind": "tool_calling", "max_steps": 1e400}', "\x00\xff", "x" * (2 << 20),
    ],
)  # fmt: skip
@pytest.mark.parametrize("trust", [False, True])
def test_a_damaged_agent_is_told_as_such(hub: HubServer, at: Any, text: str, trust: bool) -> None:
    hub.commit("me/agent", {"agent.json": text})
    with pytest.raises(HubError, match=r"is not an agent|at most 1 MiB"):
        MultiStepAgent.from_hub("me/agent", MODEL, trust_remote_code=trust, **at)


def test_an_unknown_version_and_an_impossible_setting(hub: HubServer, at: Any) -> None:
    ToolCallingAgent([], MODEL).push_to_hub("me/agent", **at)
    rewritten(hub, "me/agent", max_steps=0)
    with pytest.raises(ConfigurationError, match="max_steps"):
        MultiStepAgent.from_hub("me/agent", MODEL, **at)
    rewritten(hub, "me/agent", version=99, max_steps=1)
    with pytest.raises(ConfigurationError, match="version 99"):
        MultiStepAgent.from_hub("me/agent", MODEL, **at)


def test_tools_are_named_by_where_they_are_from(hub: HubServer, at: Any) -> None:
    shouting = "def shout(text):\n    return text.upper()"
    sha = hub.commit("owner/shout", {"tool.py": shouting})
    shout = load_tool("owner/shout", trust_remote_code=True, **at)
    ToolCallingAgent({"shout": shout, "ask": AskUser(), "offset": offset}, MODEL).push_to_hub("me/agent", **at)
    named = {one["name"]: one["from"] for one in json.loads(hub.files("me/agent")["agent.json"])["tools"]}
    assert named["shout"] == f"hf://spaces/owner/shout@{sha}"
    assert named["ask"] == "cloche.host_tools.builtin.user:AskUser"
    # It uses something of its module, so that its code alone would be of no use.
    assert named["offset"].endswith(":offset")
    hub.commit("owner/shout", {"tool.py": "raise SystemExit"})
    tools = {"offset": double}
    back = MultiStepAgent.from_hub("me/agent", MODEL, trust_remote_code=True, tools=tools, **at)
    assert back.tools["shout"].invoke(["a"], {}) == "A"


def test_two_tools_of_one_name_are_told_apart_or_refused(at: Any) -> None:
    def other() -> Tool:
        @tool(name="double")
        def thrice(x: int) -> int:
            """Not what it is called."""
            return 3 * x

        return thrice

    low = ToolCallingAgent([other()], MODEL, name="low", description="Low.")
    with pytest.raises(ConfigurationError, match="two agents have tools 'double' that differ"):
        CodeAgent([double], MODEL, managed_agents=[low]).push_to_hub("me/agent", **at)


def test_a_copy_of_the_repository_is_a_folder_like_any_other(hub: HubServer, at: Any, tmp_path: Path) -> None:
    manager().push_to_hub("me/agent", **at)
    for name, content in hub.files("me/agent").items():
        (tmp_path / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "clone" / name).write_bytes(content)
    with pytest.raises(RemoteCodeRefused):
        MultiStepAgent.load(tmp_path / "clone", MODEL)
    back = MultiStepAgent.load(tmp_path / "clone", MODEL, trust_remote_code=True)
    assert back.tools["double"].invoke([2], {}) == 4


def test_what_an_agent_remembers_is_shared_only_if_asked_for(hub: HubServer, at: Any) -> None:
    agent = ToolCallingAgent([], ScriptedModel(["It is 5."]))
    agent.run("A secret", max_steps=1, return_full_result=True)
    agent.push_to_hub("me/agent", **at)
    assert b"A secret" not in b"".join(hub.files("me/agent").values())
    agent.push_to_hub("me/agent", memory=True, **at)
    assert b"A secret" in hub.files("me/agent")["memory.json"]
    assert MultiStepAgent.from_hub("me/agent", MODEL, **at).memory.steps == []
    with pytest.raises(RemoteCodeRefused, match="the state of its program"):
        MultiStepAgent.from_hub("me/agent", MODEL, memory=True, **at)
    back = MultiStepAgent.from_hub("me/agent", MODEL, memory=True, trust_remote_code=True, **at)
    assert back.memory.messages() == agent.memory.messages()


def test_importing_agents_imports_nothing_of_the_hub() -> None:
    code = "import sys, cloche.agent.code_agent; print({'huggingface_hub', 'gradio_client', 'httpx'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "set()\n"
