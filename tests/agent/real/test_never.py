"""What must never happen to an agent: a policy bypassed, run() broken by a value, a tool lost, a run poisoned."""

import datetime
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.agent import CodeAgent, MultiStepAgent, RunRecorder, ScriptedModel, ToolCallingAgent, ToolRequest
from cloche.agent.monitoring.traces import read_record
from cloche.agent.values import safe_repr
from cloche.host_tools import tool
from cloche.host_tools.call_log import MemoryLog
from cloche.host_tools.policy import GuardedTools, PlannedCall, Policy, ToolDenied
from cloche.runtime.errors import ConfigurationError


@tool
def weather(city: str) -> str:
    """Tell the weather.

    Args:
        city: Where.
    """
    return f"sunny in {city}"


@tool
def pay(amount: int) -> str:
    """Pay.

    Args:
        amount: Cents.
    """
    return f"paid {amount}"


@tool
def huge() -> int:
    """Return a large number."""
    return 10**5000


def code(*programs: str, **options: Any) -> CodeAgent:
    tools = options.pop("tools", [weather])
    return CodeAgent(tools, ScriptedModel([f"<code>\n{program}\n</code>" for program in programs]), **options)


def observations(agent: MultiStepAgent) -> list[str]:
    return [step.observation or "".join(one.observation for one in step.outcomes) for step in agent.memory.actions]


NO = Policy(check=lambda call: "not today")


class TestPolicies:
    """Tools that are added to, or replaced in, an agent of guarded tools."""

    @pytest.mark.parametrize("way", ["set", "add", "update"])
    def test_an_added_tool_is_under_the_default_policy_and_on_record(self, way: str) -> None:
        log = MemoryLog()
        with code("pay(1)", "final_answer('ok')", tools=GuardedTools([weather], default=NO, log=log)) as agent:
            match way:
                case "set":
                    agent.tools["pay"] = pay
                case "add":
                    agent.tools.add(pay)
                case _:
                    agent.tools.update({"pay": pay})
            assert agent.run("t") == "ok"
            assert "ToolDenied" in observations(agent)[0] or "PermissionError" in observations(agent)[0]
        assert [(one.tool, one.outcome) for one in log.records if one.tool == "pay"][-1] == ("pay", "denied")

    def test_a_replaced_tool_is_under_the_policy_of_its_name(self) -> None:
        log = MemoryLog()
        guarded = GuardedTools([pay], {"pay": NO}, log=log)
        requests: list[Any] = [ToolRequest(id="1", name="pay", arguments={"amount": 1}), "no"]
        agent = ToolCallingAgent(guarded, ScriptedModel(requests), max_steps=1)
        agent.tools["pay"] = lambda amount: f"stolen {amount}"
        agent.run("t")
        assert "not today" in observations(agent)[0]
        assert any(one.outcome == "denied" for one in log.records)

    def test_a_copy_and_a_list_of_guarded_tools_keep_the_policies_too(self) -> None:
        guarded = GuardedTools([weather], default=NO)
        for agent in (code(tools=guarded).copy(), code(tools=list(guarded))):
            agent.tools["pay"] = pay
            with pytest.raises(ToolDenied, match="not today"):
                agent.tools.call("pay", [1], {})

    def test_an_addition_is_recorded_and_may_be_refused(self) -> None:
        log = MemoryLog()
        asked: list[PlannedCall] = []

        def approve(call: PlannedCall) -> bool:
            asked.append(call)
            return bool(call.arguments["name"] != "pay")

        agent = code(tools=GuardedTools([weather], log=log, additions=Policy(approve=approve)))
        with pytest.raises(ToolDenied):
            agent.tools["pay"] = pay
        agent.tools["weather"] = weather
        assert "pay" not in agent.tools
        assert [(call.arguments["name"], call.arguments["replaces"]) for call in asked] == [
            ("pay", False),
            ("weather", True),
        ]
        assert [(one.tool, one.outcome) for one in log.records if one.outcome != "running"] == [
            ("add_tool", "denied"),
            ("add_tool", "returned"),
        ]

    def test_final_answer_that_is_replaced_still_ends_the_run(self) -> None:
        with code("final_answer('a')") as agent:
            agent.tools["final_answer"] = lambda answer: answer.upper()
            assert agent.run("t") == "A"


class TestValues:
    """Values of programs and tools that cannot be written."""

    @pytest.mark.parametrize(
        "program", ["10**5000", "[1, {'a': -10**5000}]", "huge()", "x = []\nx.append(1)\nx * 9**6"]
    )
    def test_a_last_value_never_breaks_a_run(self, program: str, tmp_path: Path) -> None:
        path = tmp_path / "run.jsonl"
        with code(
            program, f"final_answer(({program.splitlines()[-1]}) if {'x' not in program} else 1)", tools=[huge]
        ) as one:
            agent = one.copy()
            agent.settings.verbosity = 2
            agent.settings.observers = [RunRecorder(path)]
            agent.run("t")
            agent.replay(detailed=True)
            agent.memory.save(tmp_path / "memory.json")
            agent.close()
        assert read_record(path)

    def test_a_tools_value_never_breaks_an_agent_that_calls_tools(self) -> None:
        lines = [ToolRequest(id="1", name="huge"), ToolRequest(id="2", name="final_answer", arguments={"answer": 1})]
        agent = ToolCallingAgent([huge], ScriptedModel(lines), verbosity=1)
        assert agent.run("t") == 1
        assert "5,001 digits" in observations(agent)[0]


class Raises:
    """A value that cannot write itself."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


ITSELF: list[Any] = [1]
ITSELF.append(ITSELF)
HOSTILE: dict[str, Any] = {
    "long": 10**5000,
    "longer": -(10**9000),
    "raising": Raises(),
    "itself": ITSELF,
    "text": "x" * 10**5,
    "deque": deque([10**5000]),
    "date": datetime.date(2020, 1, 1),
}
# By name: Hypothesis writes the values that it samples from, as any other code would.
STRANGE = st.sampled_from(sorted(HOSTILE)).map(lambda name: HOSTILE[name])
LEAVES = st.none() | st.integers() | st.floats() | st.text() | st.binary() | STRANGE
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner)
)


@given(VALUES, st.integers(1, 300))
def test_any_value_has_a_bounded_repr(value: Any, limit: int) -> None:
    text = safe_repr(value, limit)
    assert len(text) <= limit + 200


@pytest.mark.parametrize("value", [1, "a", [1, (2,), {}], {"a": {1}, "b": frozenset({2})}, (), set(), [[]], None, 1.5])
def test_an_ordinary_value_has_its_own_repr(value: Any) -> None:
    assert safe_repr(value) == repr(value)


class TestNames:
    """Names of tools that a program takes."""

    @pytest.mark.parametrize(
        "program",
        [
            "weather = weather('Oslo')",
            "def weather(): pass",
            "del weather",
            "for weather in 'ab': pass",
            "import json as weather",
        ],
    )
    def test_a_tool_is_there_again_in_the_next_step(self, program: str) -> None:
        with code(program, "final_answer(weather('Lima'))") as agent:
            assert agent.run("t") == "sunny in Lima"
            assert ("'weather' is one of your functions" in observations(agent)[0]) == ("del" not in program)

    def test_final_answer_is_there_again(self) -> None:
        with code("final_answer = 'Paris'\nprint(final_answer)", "final_answer('Paris')") as agent:
            assert agent.run("t") == "Paris"

    def test_a_program_that_failed_gives_the_names_back_too(self) -> None:
        with code("weather = 1\n1 / 0", "final_answer(weather('Lima'))") as agent:
            assert agent.run("t") == "sunny in Lima"

    def test_a_variable_that_is_called_like_a_tool_is_refused(self) -> None:
        with code("final_answer(1)", "final_answer(2)") as agent:
            for name in ("weather", "final_answer"):
                with pytest.raises(ConfigurationError, match=name):
                    agent.run("t", additional_args={name: 3})
            assert agent.run("t") == 1


class TestVariables:
    """Variables that cannot cross."""

    def test_the_next_run_is_as_if_nothing_had_been(self) -> None:
        with code("final_answer('good' in globals())") as agent:
            with pytest.raises(TypeError, match="bad"):
                agent.run("t", additional_args={"good": 1, "bad": object()})
            assert agent.run("t") is False
