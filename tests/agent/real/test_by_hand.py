"""What those who come from smolagents do by hand: steps, code in the session, prompts, and agents in a team."""

from typing import Any

import pytest

from cloche import ActionStep, CodeAgent, LocalPythonExecutor, TaskStep, ToolCallingAgent, tool
from cloche.agent import ScriptedModel, ToolRequest
from cloche.runtime.errors import ConfigurationError, GuestException, UnserializableValue

# With smolagents' names, which type checkers do not know.
Action: Any = ActionStep
Task: Any = TaskStep


def code(*programs: str) -> ScriptedModel:
    return ScriptedModel([f"<code>\n{program}\n</code>" for program in programs])


@tool
def triple(n: int) -> int:
    """Multiply by three."""
    return 3 * n


def test_steps_are_done_one_by_one_on_a_memory_of_ones_own() -> None:
    with CodeAgent([triple], code("x = triple(2)\nprint(x)", "y = 1 / 0", "final_answer(x + 1)")) as agent:
        agent.python_executor.send_tools({**agent.tools})
        agent.memory.steps.append(Task(task="Add one to six.", task_images=[]))
        answer, steps = None, list[ActionStep]()
        while answer is None:
            step = Action(step_number=len(steps) + 1, observations_images=[])
            answer = agent.step(step)
            agent.memory.steps.append(step)
            steps.append(step)

        assert answer == 7
        assert [step.step_number for step in steps] == [1, 2, 3]
        assert steps[0].observations is not None
        assert "6" in steps[0].observations
        assert str(steps[1].error) == "ZeroDivisionError: division by zero"
        assert (steps[2].is_final_answer, steps[2].code_action) == (True, "final_answer(x + 1)")
        assert "triple" in agent.memory.system_prompt.system_prompt
        assert [step["kind"] for step in agent.memory.get_full_steps()] == ["task", "action", "action", "action"]


def test_a_tool_calling_agent_steps_by_hand_too() -> None:
    calls = [ToolRequest(id="1", name="triple", arguments={"n": 2})]
    last = ToolRequest(id="2", name="final_answer", arguments={"answer": "six"})
    agent = ToolCallingAgent([triple], ScriptedModel([calls, last]))
    agent.memory.steps.append(TaskStep(task="t"))
    first, second = ActionStep(number=1), ActionStep(number=2)
    assert agent.step(first) is None
    agent.memory.steps.append(first)
    assert agent.step(second) == "six"
    assert first.tool_calls is not None
    assert first.tool_calls[0].name == "triple"


def test_code_runs_in_the_agents_session() -> None:
    with CodeAgent([triple], code("final_answer(total + len(words))")) as agent:
        agent.python_executor("total = triple(4)")
        agent.python_executor.send_variables({"words": ["a", "b"]})
        ran = agent.python_executor("print('seen')\ntotal * 2")
        assert (ran.output, ran.logs, ran.is_final_answer) == (24, "seen\n", False)
        assert agent.python_executor("final_answer(total)").is_final_answer
        assert dict(agent.state) == {"total": 12, "words": ["a", "b"]}
        del agent.state["words"]
        assert "words" not in agent.state
        agent.state["words"] = []
        assert agent.run("t", reset=False) == 12
        with pytest.raises(GuestException, match="NameError"):
            agent.python_executor("nothing_of_the_kind")


def test_an_executor_needs_no_agent() -> None:
    executor = LocalPythonExecutor(["numpy"], additional_functions={"triple": triple})
    assert executor("x = triple(3)\nx").output == 9
    assert executor("final_answer(x)") == executor("final_answer(9)")
    for program, error in (("!echo no", "SyntaxError"), ("import numpy", "ModuleNotFoundError")):
        with pytest.raises(GuestException, match=error):
            executor(program)
    with pytest.raises(UnserializableValue):
        _ = executor.state["triple"]
    executor.cleanup()
    executor.cleanup()
    with pytest.raises(KeyError):
        _ = executor.state["x"]
    executor.cleanup()


def test_prompt_templates_are_read_and_set_by_name() -> None:
    model = code("final_answer(1)", "final_answer(2)")
    with CodeAgent([triple], model) as agent:
        agent.run("t")
        agent.prompt_templates["system_prompt"] += "\nAlways rhyme. Your team: {{ managed_agents | length }}."
        agent.run("t")
        assert "Always rhyme" not in model.requests[0].messages[0].text
        assert model.requests[1].messages[0].text.endswith("Always rhyme. Your team: 0.")
        assert next(iter(agent.prompt_templates)) == "system_prompt"
        assert len(agent.prompt_templates) == len(list(agent.prompt_templates))
        with pytest.raises(ConfigurationError):
            del agent.prompt_templates["system_prompt"]
        with pytest.raises(ConfigurationError):
            agent.prompt_templates["system_promt"] = "x"


SMOLAGENTS_TEMPLATE = """You write code between {{ code_block_opening_tag }} and {{ code_block_closing_tag }}.
{%- for tool in tools.values() %}
{{ tool.to_code_prompt() }}
{%- endfor %}
{%- for one in managed_agents.values() %}
Ask {{ one.name }}: {{ one.description }}
{%- endfor %}
{{ custom_instructions }} Imports: {{ authorized_imports }}."""


def test_templates_of_smolagents_kind_are_taken() -> None:
    helper = CodeAgent([], code(), name="helper", description="Helps.")
    templates = {"system_prompt": SMOLAGENTS_TEMPLATE, "planning": {"initial_plan": "Plan for {{ task }}"}}
    model = code("final_answer(1)")
    agent = CodeAgent(
        [triple], model, prompt_templates=templates, managed_agents=[helper], instructions="Be brief.", imports=["json"]
    )
    with agent:
        agent.run("t")
    prompt = model.requests[0].messages[0].text
    assert "between <code> and </code>" in prompt
    assert "def triple(n: int) -> int:" in prompt
    assert "Ask helper: Helps." in prompt
    assert prompt.count("def helper") == prompt.count("async def helper") == 0
    assert prompt.endswith("Be brief. Imports: ['json'].")


def test_a_group_without_a_place_is_left_out_with_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"managed_agent\.nothing"):
        CodeAgent([], code(), prompt_templates={"managed_agent": {"nothing": "x"}})


def worker(name: str, answer: str) -> CodeAgent:
    return CodeAgent(
        [], ScriptedModel(lambda _: f"<code>\nfinal_answer({answer!r})\n</code>"), name=name, description=name
    )


def test_a_team_changes_at_run_time() -> None:
    programs = ["final_answer(await one('t'))", "final_answer(await two('t'))", "one('t')", "final_answer('left')"]
    model = code(*programs)
    with CodeAgent([], model, managed_agents=[worker("one", "first")]) as agent:
        assert agent.limits.time == 600
        assert agent.run("t") == "first"
        agent.managed_agents["two"] = worker("two", "second")
        assert agent.run("t", reset=False) == "second"
        assert "two" in model.requests[1].messages[0].text
        del agent.managed_agents["one"]
        assert agent.run("t", reset=False) == "left"
        assert agent.memory.actions[2].error is not None
        assert list(agent.managed_agents) == ["two"] == [name for name in agent.tools if name != "final_answer"]
        agent.managed_agents.clear()
        assert agent.limits.time == 60
        assert list(agent.copy().managed_agents) == []


@pytest.mark.parametrize(
    ("name", "member", "why"),
    [
        ("triple", worker("triple", "x"), "a tool is called 'triple'"),
        ("other", worker("one", "x"), "goes by its own name"),
        ("", CodeAgent([], code()), "needs a name and a description"),
    ],
)
def test_a_team_refuses(name: str, member: Any, why: str) -> None:
    agent = CodeAgent([triple], code(), managed_agents=[worker("one", "x")])
    with pytest.raises(ConfigurationError, match=why):
        agent.managed_agents[name] = member
    assert list(agent.managed_agents) == ["one"]
    assert agent.tools["triple"] is triple
