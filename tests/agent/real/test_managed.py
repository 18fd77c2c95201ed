"""Agents that manage agents."""
# The parameters of short lambdas say by their names what they are.
# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false

import asyncio
from typing import Any

from cloche.agent import (
    ActionStep,
    CodeAgent,
    ModelRequest,
    ModelUnavailable,
    RunBudget,
    ScriptedModel,
    TokensExceeded,
    ToolCallingAgent,
    ToolRequest,
)
from cloche.agent.events import AgentEvent, RunEnded, RunStarted
from cloche.host_tools import tool


def code(program: str) -> str:
    return f"<code>\n{program}\n</code>"


@tool
def is_prime(n: int) -> bool:
    """Say whether n is prime."""
    return n > 1 and all(n % divisor for divisor in range(2, n))


def echo(request: ModelRequest) -> str:
    """A specialist that answers with the last word of its task."""
    word = request.messages[1].text.split()[-1]
    return code(f"final_answer({word!r})")


def specialist(lines: Any, **options: Any) -> CodeAgent:
    options = {"name": "maths", "description": "Knows numbers."} | options
    return CodeAgent([is_prime], ScriptedModel(lines), **options)


def manager(lines: Any, *agents: Any, **options: Any) -> CodeAgent:
    return CodeAgent([], ScriptedModel(lines), managed_agents=list(agents), **options)


def test_an_agent_is_a_typed_function_of_its_manager() -> None:
    maths = specialist([code("final_answer(is_prime(7))")], output_type=bool)
    with manager([code("r = await maths('Is 7 prime?')"), code("final_answer(r)")], maths) as boss:
        assert boss.run("t") is True
        assert (
            "async def maths(task: str, additional_args: dict[str, Any] | None = None) -> bool:"
            in boss.memory.system.prompt
        )
        assert "Knows numbers." in boss.memory.system.prompt
        assert "maths is an agent of its own" in boss.memory.system.prompt
    assert "You are maths, working for another agent" in maths.memory.messages()[1].text


def test_agents_run_side_by_side_each_in_a_session_of_its_own() -> None:
    program = "import asyncio\nr = await asyncio.gather(*(maths(f'say {w}') for w in 'abc'))\nfinal_answer(r)"
    with manager([code(program)], specialist(echo)) as boss:
        assert boss.run("t") == ["a", "b", "c"]
        assert asyncio.run(manager([code(program)], specialist(echo)).arun("t")) == ["a", "b", "c"]


def test_variables_can_be_handed_down() -> None:
    maths = specialist([code("final_answer(sum(numbers))")])
    with manager([code("final_answer(await maths('add', {'numbers': [1, 2]}))")], maths) as boss:
        assert boss.run("t") == 3


def test_failures_are_observations() -> None:
    program = (
        "try:\n    await maths('x')\nexcept Exception as error:\n    final_answer([type(error).__name__, str(error)])"
    )
    with manager([code(program)], specialist([ModelUnavailable("down")])) as boss:
        assert boss.run("t") == ["ModelUnavailable", "down"]
    with manager(
        [code("await maths('x')"), code("final_answer(1)")], specialist([code("1"), ModelUnavailable("d")])
    ) as boss:
        assert boss.run("t") == 1
        assert "ModelUnavailable" in boss.memory.actions[0].observation


def test_what_they_spend_counts_for_the_manager_and_its_budget_binds_them() -> None:
    maths = specialist([code("1"), code("final_answer(1)")])
    with manager([code("x = await maths('x')"), code("final_answer(x)")], maths) as boss:
        result = boss.run("t", return_full_result=True)
    own = boss.memory.usage.total
    assert result.usage.total == own + maths.memory.usage.total
    assert maths.memory.usage.total > 0

    spender = specialist(lambda request: code("1"), max_steps=1000)
    with manager([code("await maths('x')"), code("final_answer(1)")], spender, budget=RunBudget(tokens=3000)) as boss:
        result = boss.run("t", return_full_result=True)
    assert isinstance(result.error, TokensExceeded)
    assert len(spender.memory.actions) < 20


def test_each_has_a_budget_of_its_own() -> None:
    maths = specialist(lambda request: code("1"), budget=RunBudget(tokens=1))
    program = "try:\n    await maths('x')\nexcept Exception as error:\n    final_answer(type(error).__name__)"
    with manager([code(program)], maths) as boss:
        assert boss.run("t") == "TokensExceeded"


def test_a_summary_comes_with_the_answer_if_asked_for() -> None:
    maths = specialist([code("print('looked')"), code("final_answer(5)")], provide_run_summary=True)
    with manager([code("final_answer(await maths('x'))")], maths) as boss:
        report = boss.run("t")
    assert report.startswith("Answer of maths:\n5")
    assert "looked" in report


def test_a_manager_that_calls_tools_has_them_as_tools() -> None:
    calls = [ToolRequest(id=str(n), name="maths", arguments={"task": f"say {n}"}) for n in (1, 2)]
    last = ToolRequest(id="3", name="final_answer", arguments={"answer": "done"})
    boss = ToolCallingAgent([], ScriptedModel([calls, last]), managed_agents=[specialist(echo)])
    assert boss.run("t") == "done"
    assert [outcome.observation for outcome in boss.memory.actions[0].outcomes] == ["1", "2"]
    assert (
        asyncio.run(ToolCallingAgent([], ScriptedModel([calls, last]), managed_agents=[specialist(echo)]).arun("t"))
        == "done"
    )


def test_agents_below_agents_and_events_that_hang_together() -> None:
    events: list[AgentEvent] = []
    low = specialist([code("final_answer(3)")], name="low")
    middle = CodeAgent(
        [],
        ScriptedModel([code("final_answer(await low('x') + 1)")]),
        name="middle",
        description="d",
        managed_agents=[low],
    )
    with manager([code("final_answer(await middle('x') + 1)")], middle, name="top", observers=[events.append]) as boss:
        assert boss.run("t") == 5
    started = {event.agent: event for event in events if isinstance(event, RunStarted)}
    assert started["low"].parent == started["middle"].run_id
    assert started["middle"].parent == started["top"].run_id
    assert [event.agent for event in events if isinstance(event, RunEnded)] == ["low", "middle", "top"]


def test_callbacks_of_a_managed_agent_see_the_copy_that_works() -> None:
    seen: list[int] = []

    def note(step: ActionStep, agent: CodeAgent) -> None:
        seen.append(len(agent.memory.actions))

    maths = specialist([code("1"), code("final_answer(1)")], step_callbacks=[note])
    with manager([code("final_answer(await maths('x'))")], maths) as boss:
        boss.run("t")
    assert seen == [1, 2]
