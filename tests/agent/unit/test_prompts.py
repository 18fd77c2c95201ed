"""What models are told, word for word.

After a change that is meant, write the snapshots again: ``UPDATE_SNAPSHOTS=1 pytest tests/agent/unit/test_prompts.py``.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from cloche.agent import CodeAgent, MultiStepAgent, PromptTemplates, ScriptedModel, ToolCallingAgent
from cloche.agent.prompting import load_prompts
from cloche.host_tools import tool
from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import Limits

SNAPSHOTS = Path(__file__).parent / "prompts"
MODEL = ScriptedModel([])


@tool
def weather(city: str, *, unit: str = "C") -> dict[str, float]:
    """Tell the weather of a city.

    Args:
        city: Its name.
        unit: C or F.
    """
    return {city + unit: 1.0}


@tool
async def fetch(url: str) -> bytes:
    """Fetch a page."""
    return url.encode()


def helper() -> ToolCallingAgent:
    return ToolCallingAgent([weather], MODEL, name="helper", description="Looks things up.")


AGENTS: dict[str, Any] = {
    "code_plain": lambda: CodeAgent([weather], MODEL),
    "code_full": lambda: CodeAgent(
        [weather, fetch],
        MODEL,
        managed_agents=[helper()],
        imports=["math", "json"],
        limits=Limits(time=5, memory="64 MiB", calls=None),
        tags=("[py]", "[/py]"),
        instructions="Answer in Norwegian.",
        output_type=list[int],
    ),
    "tool_calling": lambda: ToolCallingAgent([weather], MODEL, managed_agents=[helper()], instructions="Be brief."),
}


@pytest.mark.parametrize("name", AGENTS)
def test_the_system_prompt_is_this(name: str) -> None:
    agent: MultiStepAgent = AGENTS[name]()
    agent.refresh_prompt()
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.write_text(f"{agent.memory.system.prompt}\n", encoding="utf-8")
    assert f"{agent.memory.system.prompt}\n" == path.read_text(encoding="utf-8")


def test_prompts_can_be_replaced_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("system: |\n  My tools: {{ tools }}\n", encoding="utf-8")
    agent = CodeAgent([weather], MODEL, prompts=path)
    agent.refresh_prompt()
    assert agent.memory.system.prompt.startswith("My tools: def weather(city: str")
    assert agent.prompts.plan == load_prompts("code", None).plan


def test_saved_prompts_are_read_back(tmp_path: Path) -> None:
    prompts = load_prompts("code", None)
    prompts.save(tmp_path / "prompts.yaml")
    assert PromptTemplates.load(tmp_path / "prompts.yaml") == prompts


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sistem: x", "'sistem' is not one of"),
        ("system: [1]", "'system'"),
        ("[1, 2]", "does not map"),
        ("plan: x", "missing"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=problem):
        PromptTemplates.load(path)


def test_templates_cannot_reach_pythons_insides() -> None:
    from jinja2.exceptions import SecurityError

    prompts = PromptTemplates.of({"system": "{{ tools.__class__.__mro__ }}"}, over=load_prompts("code", None))
    with pytest.raises(SecurityError):
        CodeAgent([], MODEL, prompts=prompts).refresh_prompt()


def test_a_variable_that_does_not_exist_is_an_error() -> None:
    from jinja2.exceptions import UndefinedError

    prompts = PromptTemplates.of({"system": "{{ tolls }}"}, over=load_prompts("code", None))
    with pytest.raises(UndefinedError, match="tolls"):
        CodeAgent([], MODEL, prompts=prompts).refresh_prompt()
