"""What models are told, word for word.

After a change that is meant, write the snapshots again: ``UPDATE_SNAPSHOTS=1 pytest tests/agent/unit/test_prompts.py``.
"""

import ast
import os
from pathlib import Path
from typing import Any

import pytest

from cloche.agent import (
    CodeAgent,
    FallbackModel,
    MultiStepAgent,
    PromptTemplates,
    ScriptedModel,
    ToolCallingAgent,
    ToolRequest,
)
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


def test_examples_fit_what_the_agent_has() -> None:
    def prompt(*tools: Any, **options: Any) -> str:
        agent = CodeAgent(tools, MODEL, **options)
        agent.refresh_prompt()
        return agent.memory.system.prompt

    plain, waits, manages = prompt(weather), prompt(fetch), prompt(managed_agents=[helper()])
    assert ("await" in plain, "hydrologist" in plain) == (False, False)
    assert "await asyncio.gather(fetch(" in waits
    assert "await asyncio.gather(*(hydrologist(" in manages
    # What may not be imported is not shown being imported.
    assert "asyncio" not in prompt(fetch, managed_agents=[helper()], imports=["math"])


def test_programs_of_the_examples_are_programs() -> None:
    for make in AGENTS.values():
        agent = make()
        if isinstance(agent, CodeAgent):
            agent.refresh_prompt()
            shown = agent.memory.system.prompt.split("Three short examples")[1]
            blocks = shown.split(f"\n{agent.tags[0]}\n")[1:]
            assert len(blocks) >= 5
            for block in blocks:
                code = block.split(f"\n{agent.tags[1]}\n")[0]
                compile(code, "<example>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


class Native(ScriptedModel):
    """A model that is shown the schemas of tools beside the prompt."""

    takes_tools = True


def test_tools_whose_schemas_the_model_is_given_are_not_listed_again() -> None:
    call = ToolRequest(id="1", name="final_answer", arguments={"answer": 1})
    model = Native(["the plan", call])
    agent = ToolCallingAgent([weather], model, planning_interval=5)
    agent.run("t")
    system = agent.memory.system.prompt
    assert "Your tools: weather, final_answer." in system
    assert "Tell the weather" not in system
    # A plan is made without calls: there the tools are listed, once.
    assert model.requests[0].messages[-1].text.count("def weather") == 1
    assert [tool["name"] for tool in model.requests[1].tools] == ["weather", "final_answer"]
    agent.model = FallbackModel([Native([]), ScriptedModel([])])
    agent.refresh_prompt()
    assert agent.memory.system.prompt.count("def weather") == 1


def test_what_the_prompt_says_of_the_guests_numbers_is_true() -> None:
    with CodeAgent([], ScriptedModel(["<code>\nimport sys\nfinal_answer(sys.maxsize)\n</code>"])) as agent:
        assert agent.run("t") == 2**63 - 1
    assert "sys.maxsize is 2**63 - 1" in agent.memory.system.prompt


def test_a_plan_does_not_list_again_what_the_prompt_has() -> None:
    model = ScriptedModel(["the plan", "<code>\nfinal_answer(1)\n</code>"])
    with CodeAgent([weather], model, planning_interval=5) as agent:
        agent.run("t")
    assert sum(message.text.count("def weather") for message in model.requests[0].messages) == 1


def test_saved_prompts_are_read_back(tmp_path: Path) -> None:
    prompts = load_prompts("code", None)
    prompts.save(tmp_path / "prompts.yaml")
    # For people who change it: lines as they are, and not one text with \\n in it.
    assert "system: |-\n  You solve tasks" in (tmp_path / "prompts.yaml").read_text(encoding="utf-8").replace(
        "|\n", "|-\n"
    )
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
