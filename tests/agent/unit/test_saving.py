"""Agents as data and as folders."""
# The parameters of short lambdas say by their names what they are.
# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false

import json
from pathlib import Path
from typing import Any

import pytest

from cloche.agent import CodeAgent, MultiStepAgent, RunBudget, ScriptedModel, ToolCallingAgent, ToolRequest
from cloche.host_tools import tool
from cloche.host_tools.policy import GuardedTools, Policy
from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import Limits

MODEL = ScriptedModel([])


@tool
def here(x: int) -> int:
    """A tool of this module."""
    return x


def manager(**options: Any) -> CodeAgent:
    low = ToolCallingAgent([here], MODEL, name="low", description="Low.", budget=RunBudget(tokens=7))
    settings: dict[str, Any] = {"instructions": "Be brief.", "planning_interval": 3, "max_steps": 5, **options}
    return CodeAgent(
        {"spread": json.dumps}, MODEL, managed_agents=[low], imports=["math"], limits=Limits(time=3), **settings
    )


def test_an_agent_comes_back_from_its_json() -> None:
    data = json.loads(json.dumps(manager().to_dict()))
    agent = MultiStepAgent.from_dict(data, MODEL, tools=[here])
    assert isinstance(agent, CodeAgent)
    assert agent.to_dict() == manager().to_dict()
    assert agent.imports == ("math",)
    assert agent.limits.time == 3
    assert agent.managed_agents["low"].settings.budget.tokens == 7
    assert sorted(agent.tools) == ["final_answer", "low", "spread"]


def test_tools_are_references_and_never_code() -> None:
    data = manager().to_dict()
    assert data["tools"] == [{"name": "spread", "from": "json:dumps"}]


def test_a_tool_that_cannot_be_imported_has_to_be_given() -> None:
    agent = ToolCallingAgent({"local": lambda x: x}, MODEL)
    with pytest.raises(ConfigurationError, match=r"pass tools=\[local\]"):
        MultiStepAgent.from_dict(agent.to_dict(), MODEL)
    assert "local" in MultiStepAgent.from_dict(agent.to_dict(), MODEL, tools={"local": here}).tools


def test_other_versions_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="version 99"):
        MultiStepAgent.from_dict({**manager().to_dict(), "version": 99}, MODEL)


def test_a_folder_holds_agent_prompts_and_memory(tmp_path: Path) -> None:
    one = ToolCallingAgent([], ScriptedModel([ToolRequest(id="1", name="final_answer", arguments={"answer": 5})]))
    one.run("t")
    one.save(tmp_path / "agent")
    assert sorted(path.name for path in (tmp_path / "agent").iterdir()) == ["agent.json", "memory.json", "prompts.yaml"]
    loaded = MultiStepAgent.load(tmp_path / "agent", MODEL)
    assert loaded.memory.messages() == one.memory.messages()
    assert loaded.prompts == one.prompts


def test_a_guarded_tool_does_not_come_back_without_policies() -> None:
    agent = ToolCallingAgent(GuardedTools([here], {"here": Policy(calls=1)}), MODEL)
    data = agent.to_dict()
    assert [(one["name"], one["guarded"]) for one in data["tools"]] == [("here", True)]
    with pytest.raises(ConfigurationError, match="'here' had policies"):
        MultiStepAgent.from_dict(data, MODEL)
    again = MultiStepAgent.from_dict(data, MODEL, tools=GuardedTools([here]))
    assert again.to_dict() == data
