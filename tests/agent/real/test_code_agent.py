"""Agents that write code, in a real guest."""
# The parameters of short lambdas say by their names what they are.
# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from cloche.agent import CodeAgent, ModelUnavailable, RunBudget, RunTimeExceeded, ScriptedModel, ToolCallsExceeded
from cloche.agent.steps import ActionStep
from cloche.host_tools import tool
from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import Limits
from cloche.runtime.sandbox import Sandbox


@tool
def factorial(n: int) -> int:
    """Return n!.

    Args:
        n: A whole number.
    """
    return 1 if n < 2 else n * factorial(n - 1)


def code(*programs: str) -> list[str]:
    return [f"Thinking.\n<code>\n{program}\n</code>" for program in programs]


def agent(programs: Sequence[Any], tools: Any = (factorial,), **options: Any) -> CodeAgent:
    lines = [code(program)[0] if isinstance(program, str) else program for program in programs]
    return CodeAgent(tools, ScriptedModel(lines), **options)


def observation(program: str, **options: Any) -> str:
    """What the model is shown of a program."""
    with agent([program, "final_answer(None)"], **options) as one:
        one.run("t")
        return one.memory.actions[0].observation


def test_code_runs_calls_tools_and_answers() -> None:
    with agent(["x = factorial(5)\nprint('got', x)", "final_answer(x + 1)"]) as one:
        assert one.run("5! + 1") == 121
        first, last = one.memory.actions
        assert first.observation == "Printed:\ngot 120"
        assert [(call.name, call.observation) for call in first.outcomes] == [("factorial", "120")]
        assert first.guest is not None
        assert first.guest.calls == 1
        assert last.is_final
        assert one.memory.return_full_code() == "x = factorial(5)\nprint('got', x)\n\nfinal_answer(x + 1)"


def test_the_same_awaited() -> None:
    assert asyncio.run(agent(["x = factorial(4)", "final_answer(x)"]).arun("4!")) == 24


def test_the_model_sees_its_replies_closed_and_what_came_of_them() -> None:
    one = agent(["print(1)", "final_answer(2)"])
    one.run("t")
    model = one.model
    assert isinstance(model, ScriptedModel)
    said, came = model.requests[1].messages[-2:]
    assert said.text == "Thinking.\n<code>\nprint(1)\n</code>"
    assert came.text == "Observation:\nPrinted:\n1"


@pytest.mark.parametrize(
    ("program", "parts"),
    [
        ("21 * 2", ["Value: 42"]),
        ("x = 1", ["ran and printed nothing"]),
        ("import sys; print('a'); print('b', file=sys.stderr)", ["Printed:\na", "Printed to stderr:\nb"]),
        ("x = 1\nx +* 2", ["SyntaxError", "line 2", "Nothing was run"]),
        ("x = 1\ny = 1 / 0", ["ZeroDivisionError", "y = 1 / 0", "Variables set before line 2 are kept"]),
        ("exec('1 +')", ["SyntaxError", "before line 1 are kept"]),
        ("factorail(3)", ["NameError", "factorial"]),
        ("qqq(3)", ["neither a variable nor one of your functions", "factorial, final_answer"]),
        ("factorial('x')", ["ValueError", "factorial(): argument 'n'"]),
        ("factorial(1, 2)", ["TypeError"]),
        ("import pandas", ["ModuleNotFoundError", "nothing can be installed"]),
        ("lambda: 1", ["Value: <function <lambda> at"]),
        ("import asyncio\nasyncio.sleep(0)", ["has to be awaited"]),
        ("import sys; sys.exit(3)", ["SystemExit"]),
    ],
)
def test_observations_help(program: str, parts: list[str]) -> None:
    text = observation(program)
    for part in parts:
        assert part in text, text


@pytest.mark.parametrize(
    ("program", "limits", "name"),
    [
        ("while True: pass", Limits(fuel=50_000_000), "FuelExhausted"),
        ("x = 'a' * 10**9", Limits(), "MemoryExceeded"),
        ("print('x' * 10**6)", Limits(output=1000), "OutputExceeded"),
        ("for _ in range(9): factorial(1)", Limits(calls=5), "CallsExceeded"),
    ],
)
def test_limits_are_told_with_what_became_of_the_state(program: str, limits: Limits, name: str) -> None:
    programs = ["kept = 1", f"lost = factorial(2)\n{program}", "final_answer([kept, 'lost' in globals()])"]
    with agent(programs, limits=limits) as one:
        assert one.run("t") == [1, False]
        step = one.memory.actions[1]
        assert name in step.observation
        assert "rolled back to where this step began" in step.observation
        assert "Tool calls that were made are not undone: factorial" in step.observation
        assert step.error is not None
        assert step.error.state == "rolled_back"


def test_variables_stay_between_steps_and_with_reset_false_between_runs() -> None:
    with agent(["x = 41", "final_answer(x)", "final_answer(x + 1)", "final_answer('x' in globals())"]) as one:
        assert one.run("one") == 41
        assert one.run("two", reset=False) == 42
        assert one.run("three") is False


def test_a_final_answer_ends_the_program_whatever_surrounds_it() -> None:
    program = "try:\n    final_answer(1)\nexcept Exception:\n    pass\nfinal_answer(2)\nprint('never')"
    with agent([program]) as one:
        result = one.run("t", return_full_result=True)
    assert result.output == 1
    assert result.steps[1].observation == ""


def test_the_first_of_two_answers_counts_even_if_the_exit_is_swallowed() -> None:
    with agent(["try:\n    final_answer(1)\nexcept BaseException:\n    final_answer(2)"]) as one:
        assert one.run("t") == 1


class Weather(BaseModel):
    """The weather."""

    city: str
    degrees: float


@dataclass
class Point:
    """A point."""

    x: int
    y: int


def test_a_typed_answer_is_checked_while_the_program_runs() -> None:
    program = (
        "try:\n    final_answer({'city': 'Oslo'})\nexcept TypeError as error:\n    print(error)\n"
        "final_answer({'city': 'Oslo', 'degrees': 3})"
    )
    with agent([program], output_type=Weather) as one:
        assert one.run("t") == Weather(city="Oslo", degrees=3)
    with agent(["final_answer({'x': 1, 'y': '2'})"], output_type=Point) as one:
        assert one.run("t") == Point(1, 2)


def test_a_refused_answer_is_an_observation() -> None:
    with agent(["final_answer(1)", "final_answer(2)"], final_answer_checks=[lambda value: value == 2]) as one:
        assert one.run("t") == 2
        assert "refused" in one.memory.actions[0].observation


def test_additional_arguments_are_variables() -> None:
    with agent(["final_answer(sum(numbers))"]) as one:
        assert one.run("add", additional_args={"numbers": [1, 2, 3]}) == 6
        assert "- numbers (list)" in one.memory.messages()[1].text


def test_arguments_that_cannot_cross_are_the_callers_error() -> None:
    with agent(["final_answer(1)"]) as one, pytest.raises(TypeError, match="thing: cannot send"):
        one.run("t", additional_args={"thing": object()})


def test_tools_may_change_between_steps() -> None:
    def change(step: ActionStep, one: CodeAgent) -> None:
        one.tools["triple"] = lambda x: 3 * x
        one.tools.pop("factorial", None)

    programs = ["factorial(3)", "final_answer([triple(2), 'factorial' in globals()])"]
    with agent(programs, step_callbacks=[change]) as one:
        assert one.run("t") == [6, False]


def test_imports_can_be_restricted() -> None:
    assert "may not be imported here; allowed: math, json" in observation("import os", imports=["math", "json"])
    assert "Value: (2.0, '1')" in observation(
        "import json\nfrom math import sqrt\nsqrt(4), json.dumps(1)", imports=["math", "json"]
    )
    assert "Value: 1" in observation("import collections.abc as c\nlen([c])", imports=["collections"])
    assert "'posix'" in observation("import os\nos.name", imports=["*"])
    assert "os" in observation("import os.path", imports=[])


def test_the_policy_does_not_reach_into_the_librarys_own_imports() -> None:
    assert "Value: 3" in observation("import statistics\nstatistics.mean([2, 4])", imports=["statistics"])


def test_images_of_the_task_are_shown() -> None:
    one = agent(["final_answer(1)"])
    one.run("t", images=[b"\x89PNG"])
    model = one.model
    assert isinstance(model, ScriptedModel)
    assert len(model.requests[0].messages[1].content) == 2


def test_long_output_is_cut_and_says_so() -> None:
    text = observation("for n in range(5000): print(n)", observation_limit=200)
    assert text.startswith("Printed:\n0\n1\n")
    assert "characters left out here, from lines" in text
    assert text.endswith("4999")


def test_a_reply_without_code_is_told_how_to_write_it() -> None:
    with CodeAgent([], ScriptedModel(["The answer is 5.", *code("final_answer(5)")])) as one:
        assert one.run("t") == 5
        assert "there is no code in the reply" in one.memory.actions[0].observation


def test_other_tags() -> None:
    with CodeAgent([], ScriptedModel(["[py]final_answer(5)[/py]"]), tags=("[py]", "[/py]")) as one:
        assert one.run("t") == 5
        assert "between [py] and [/py]" in one.memory.system.prompt
    with pytest.raises(ConfigurationError, match="tags"):
        CodeAgent([], ScriptedModel([]), tags=("x", "x"))


def test_budgets_reach_into_the_program() -> None:
    with (
        agent(["for _ in range(9): factorial(1)"], budget=RunBudget(tool_calls=3)) as one,
        pytest.raises(ToolCallsExceeded),
    ):
        one.run("t")
    with agent(["while True: pass"], budget=RunBudget(seconds=0.3)) as one, pytest.raises(RunTimeExceeded):
        one.run("t")


def test_a_budget_of_tool_calls_is_exact() -> None:
    made: list[int] = []

    @tool
    def count(n: int) -> None:
        """Count."""
        made.append(n)

    with agent(["for n in range(9): count(n)"], [count], budget=RunBudget(tool_calls=3)) as one:
        result = one.run("t", return_full_result=True)
    assert made == [0, 1, 2]
    assert isinstance(result.error, ToolCallsExceeded)
    assert one.memory.actions[0].error is not None
    with agent(["count(1)\nfinal_answer(2)"], [count], budget=RunBudget(tool_calls=1)) as one:
        assert one.run("t") == 2


def test_a_broken_model_loses_neither_memory_nor_state() -> None:
    with CodeAgent([], ScriptedModel([*code("x = 7"), ModelUnavailable("down"), *code("final_answer(x)")])) as one:
        with pytest.raises(ModelUnavailable):
            one.run("t")
        assert [step.code for step in one.memory.actions] == ["x = 7"]
        assert one.resume() == 7


def test_the_sandbox_can_be_ones_own() -> None:
    def seeded(tools: Any, limits: Limits) -> Sandbox:
        return Sandbox(tools, limits=limits, seed=1, clock=0.0)

    program = "import random, time\nfinal_answer([random.random(), time.time()])"
    answers: list[Any] = []
    for _ in range(2):
        with agent([program], sandbox=seeded) as one:
            answers.append(one.run("t"))
    assert answers[0] == answers[1]
    assert answers[0][1] == 0.0


def test_the_session_can_be_looked_into() -> None:
    with agent(["open('notes.txt', 'w').write('hi')\nx = 5\nfinal_answer(1)"]) as one:
        one.run("t")
        assert one.session.get("x") == 5
        assert one.session.get_file("notes.txt") == b"hi"
    one.close()


def test_a_copy_shares_nothing_that_changes() -> None:
    one = agent(["x = 1\nfinal_answer(1)", "final_answer('x' in globals())"], name="a")
    one.run("t")
    twin = one.copy()
    twin.tools["other"] = lambda: 1
    assert twin.run("t") is False
    assert "other" not in one.tools
    assert len(one.memory.actions) == 1
    assert one.tools["final_answer"] is not twin.tools["final_answer"]
