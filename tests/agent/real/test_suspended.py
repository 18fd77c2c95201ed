"""Agents whose programs wait for a person in the middle of a step."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cloche import tool
from cloche.agent import (
    AgentMemory,
    AgentSuspended,
    CodeAgent,
    MultiStepAgent,
    RunEnded,
    ScriptedModel,
    ToolCallingAgent,
    ToolRequest,
)
from cloche.runtime.errors import ConfigurationError

PAYING = """
receipts = []
for name, amount in [('ann', 20), ('bob', 400)]:
    try:
        receipts.append(pay(name, amount))
    except PermissionError as error:
        receipts.append(str(error))
print(receipts)
"""


def code(program: str) -> str:
    return f"I do it.\n<code>\n{program}\n</code>"


class Till:
    """The tool under test, and what was really paid."""

    def __init__(self) -> None:
        self.paid: list[tuple[str, int]] = []

        @tool(approval=True)
        def pay(to: str, amount: int) -> str:
            """Pay a person."""
            self.paid.append((to, amount))
            return f"paid {amount} to {to}"

        self.pay = pay


@pytest.fixture
def till() -> Till:
    return Till()


def agent(till: Till, *programs: str, **options: Any) -> CodeAgent:
    return CodeAgent([till.pay], ScriptedModel(map(code, programs)), **options)


def suspended(one: MultiStepAgent, task: str = "Pay.") -> AgentSuspended:
    with pytest.raises(AgentSuspended) as caught:
        one.run(task)
    return caught.value


def test_a_call_is_approved_and_another_denied(till: Till) -> None:
    with agent(till, PAYING, "final_answer(receipts)") as one:
        error = suspended(one)
        assert [(call.id, call.name, call.args) for call in error.calls] == [(1, "pay", ["ann", 20])]
        assert "pay (call 1)" in str(error)
        assert one.memory.waiting is one.memory.actions[0]
        with pytest.raises(AgentSuspended) as caught:
            one.resume(approve=[1])
        assert [(call.id, call.args) for call in caught.value.calls] == [(2, ["bob", 400])]
        assert till.paid == [("ann", 20)]
        answer = one.resume(deny={2: "too much"})
        assert answer == ["paid 20 to ann", "pay() is not allowed: too much"]
        first, last = one.memory.actions
        assert (first.number, last.number) == (1, 2)
        assert "too much" in first.observation
        assert not first.waits
        assert [outcome.outcome for outcome in first.outcomes] == ["returned", "raised"]
    assert till.paid == [("ann", 20)]


def test_awaited_and_streamed_it_is_the_same(till: Till) -> None:
    async def go() -> Any:
        with pytest.raises(AgentSuspended):
            await one.arun("Pay.")
        with pytest.raises(AgentSuspended):
            await one.aresume(deny={1: "no"})
        return await one.aresume(approve=[2], return_full_result=True)

    with agent(till, PAYING, "final_answer(receipts)") as one:
        result = asyncio.run(go())
    assert (result.state, result.output[1], len(result.steps)) == ("success", "paid 400 to bob", 3)
    with agent(till, PAYING) as one:
        last = list(one.run("Pay.", stream=True))[-1]
        assert isinstance(last, RunEnded)
        assert last.result.state == "suspended"
        assert last.result.steps[-1].waits


def test_replies_that_do_not_fit_change_nothing(till: Till) -> None:
    with agent(till, PAYING, "final_answer(receipts)") as one:
        suspended(one)
        for replies in ({"approve": [7]}, {"values": {1: "paid, honestly"}}):
            with pytest.raises(ConfigurationError):
                one.resume(**replies)  # pyright: ignore
        with pytest.raises(AgentSuspended):
            one.resume()
        assert till.paid == []
        with pytest.raises(AgentSuspended):
            one.resume(approve=[1])
        assert till.paid == [("ann", 20)]


def test_replies_to_nothing_are_not_waited_for(till: Till) -> None:
    with agent(till, "final_answer(1)") as one:
        one.run("t")
        with pytest.raises(ConfigurationError, match="no program waits"):
            one.resume(approve=[1])


def test_a_new_task_gives_the_program_up(till: Till) -> None:
    with agent(till, "x = 1", PAYING, "final_answer(x)") as one:
        suspended(one)
        assert one.run("Something else: what is x?", reset=False) == 1
        waited = one.memory.actions[1]
        assert waited.error is not None
        assert (waited.error.type, waited.error.state) == ("GivenUp", "rolled_back")
        assert "given up" in one.memory.messages()[-2].text or "given up" in str(one.memory.messages())
    assert till.paid == []


def test_a_final_answer_may_come_right_after_a_call(till: Till) -> None:
    with agent(till, "final_answer(pay('ann', 1))") as one:
        suspended(one)
        assert one.resume(approve=[1]) == "paid 1 to ann"
        assert one.memory.actions[-1].is_final


def paying(till: Till, name: str = "low") -> CodeAgent:
    """Return an agent for a manager, whose first program pays."""
    first = "try: receipt = pay('ann', 1)\nexcept PermissionError as error: receipt = str(error)"
    return agent(till, first, "final_answer(receipt)", name=name, description="Pays.")


def boss(program: str, *agents: Any, tools: Any = ()) -> CodeAgent:
    return CodeAgent(tools, ScriptedModel([code(program)]), managed_agents=list(agents))


def waiting(one: CodeAgent, **replies: Any) -> list[tuple[int, str, str]]:
    """Run or resume it until it waits; return what for: ids, who asks, and the tool's name."""
    with pytest.raises(AgentSuspended) as caught:
        one.resume(**replies) if replies else one.run("t")
    return [(call.id, one.agent_of(call.id)[0].name, call.name) for call in caught.value.calls]


@pytest.mark.parametrize("reply", ["approve", "deny"])
def test_a_managed_agents_call_waits_and_its_manager_with_it(till: Till, reply: str) -> None:
    low = paying(till)
    with boss("said = await low('pay')\nfinal_answer(f'it said: {said}')", low) as top:
        ((call, agent_name, tool_name),) = waiting(top)
        assert (agent_name, tool_name) == ("low", "pay")
        assert till.paid == []
        with pytest.raises(AgentSuspended):
            top.resume()
        if reply == "approve":
            assert top.resume(approve=[call]) == "it said: paid 1 to ann"
            assert len(low.memory.actions) == 2
        else:
            assert top.resume(deny={call: "too dear"}) == "it said: pay() is not allowed: too dear"
    assert till.paid == ([("ann", 1)] if reply == "approve" else [])


def test_calls_of_all_that_work_side_by_side_are_answered_one_by_one(till: Till) -> None:
    program = (
        "import asyncio\nfinal_answer(await asyncio.gather(low('a'), asyncio.to_thread(pay, 'eve', 3), high('b')))"
    )
    with boss(program, paying(till), paying(till, name="high"), tools=[till.pay]) as top:
        asked = waiting(top)
        assert [each[1:] for each in asked] == [("low", "pay"), ("", "pay"), ("high", "pay")]
        low, own, high = (each[0] for each in asked)
        assert [each[0] for each in waiting(top, approve=[high])] == [low, own]
        assert [each[0] for each in waiting(top, approve=[own])] == [low]
        with pytest.raises(ConfigurationError, match="no agent works for call"):
            top.resume(approve=[high])
        assert top.resume(approve=[low]) == ["paid 1 to ann", "paid 3 to eve", "paid 1 to ann"]
    assert sorted(till.paid) == [("ann", 1), ("ann", 1), ("eve", 3)]


def test_what_waits_three_deep_is_saved_and_goes_on_elsewhere(till: Till, tmp_path: Path) -> None:
    def made(low: CodeAgent) -> CodeAgent:
        middle = boss("final_answer(await low('pay'))", low)
        middle.settings.name, middle.settings.description = "middle", "Has it paid."
        return boss("before = 'x'\nfinal_answer([before, await middle('pay')])", middle)

    with made(paying(till)) as first:
        first.settings.name = "top"
        ((call, agent_name, _),) = waiting(first)
        assert agent_name == "low"
        first.memory.save(tmp_path / "memory.json")
        first.save_state(tmp_path)
    # Its model goes on where the other one was.
    rest = agent(till, "final_answer(receipt)", name="low", description="Pays.")
    with made(rest) as second:
        second.memory = AgentMemory.load(tmp_path / "memory.json")
        second.load_state(tmp_path)
        with pytest.raises(AgentSuspended) as caught:
            second.resume()
        assert [each.id for each in caught.value.calls] == [call]
        assert second.resume(approve={call: {"to": "ann", "amount": 2}}) == ["x", "paid 2 to ann"]
    assert till.paid == [("ann", 2)]


def test_an_agent_of_one_that_runs_no_programs_cannot_wait_and_says_so(till: Till) -> None:
    low = agent(till, "pay('ann', 1)", "final_answer('could not')", name="low", description="Pays.")
    asked = ToolRequest(id="1", name="low", arguments={"task": "pay"})
    replies = [[asked], [ToolRequest(id="2", name="final_answer", arguments={"answer": "done"})]]
    with ToolCallingAgent([], ScriptedModel(replies), managed_agents=[low]) as top:
        assert top.run("t") == "done"
    assert "CannotSuspendHere" in low.memory.actions[0].observation
    assert till.paid == []


OTHER = """
import sys
from cloche import tool
from cloche.agent import AgentSuspended, MultiStepAgent, ScriptedModel

@tool(approval=True)
def pay(to: str, amount: int) -> str:
    '''Pay a person.'''
    print("really paying", amount, "to", to)
    return f"paid {amount} to {to}"

model = ScriptedModel(["I report.\\n<code>\\nfinal_answer([before, receipts])\\n</code>"])
with MultiStepAgent.load(sys.argv[1], model, tools=[pay]) as agent:
    try:
        print(agent.resume(approve=[1]))
    except AgentSuspended as error:
        print([(call.name, call.args) for call in error.calls])
        agent.save(sys.argv[1])
"""


def test_another_process_goes_on_in_the_middle_of_an_approval(till: Till, tmp_path: Path) -> None:
    with agent(till, "before = 'kept'", PAYING) as one:
        suspended(one)
        one.save(tmp_path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def other(source: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", source, str(tmp_path)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    done = other(OTHER)
    assert done.stdout == "really paying 20 to ann\n[('pay', ['bob', 400])]\n", done.stderr
    again = other(OTHER.replace("approve=[1]", "approve=[2]"))
    assert again.stdout == "really paying 400 to bob\n['kept', ['paid 20 to ann', 'paid 400 to bob']]\n", again.stderr
    assert till.paid == []


def test_a_program_that_waits_is_still_there_after_loading_here(till: Till, tmp_path: Path) -> None:
    with agent(till, PAYING) as one:
        suspended(one)
        one.save(tmp_path)
    loaded = MultiStepAgent.load(tmp_path, ScriptedModel([code("final_answer(receipts)")]), tools=[till.pay])
    assert isinstance(loaded, CodeAgent)
    assert loaded.suspended is not None
    assert [call.args for call in loaded.suspended.calls] == [["ann", 20]]
    assert loaded.resume(errors={1: TimeoutError("no answer")}) == []
    assert "TimeoutError: no answer" in loaded.memory.actions[0].observation
    loaded.close()


def test_who_approves_may_correct_the_arguments(till: Till) -> None:
    with agent(till, PAYING, "final_answer(receipts)") as one:
        suspended(one)
        with pytest.raises(AgentSuspended):
            one.resume(approve={1: {"to": "ann", "amount": 2}})
        assert one.resume(approve={2: {"to": "bob", "amount": 40}}) == ["paid 2 to ann", "paid 40 to bob"]
        assert [outcome.arguments["kwargs"]["amount"] for outcome in one.memory.actions[0].outcomes] == [2, 40]
    assert till.paid == [("ann", 2), ("bob", 40)]


def test_corrected_arguments_are_checked_like_any_others(till: Till) -> None:
    with agent(till, PAYING, "final_answer(1)") as one:
        suspended(one)
        assert one.resume(approve={1: {"to": "ann", "amount": "much"}}) == 1
        assert "amount" in one.memory.actions[0].observation
    assert till.paid == []


def test_a_correction_is_a_dict_by_name(till: Till) -> None:
    with agent(till, PAYING, "final_answer(receipts)") as one:
        suspended(one)
        with pytest.raises(ConfigurationError, match="edited arguments are a dict"):
            one.resume(approve={1: [20]})  # pyright: ignore[reportArgumentType]
        with pytest.raises(AgentSuspended):
            one.resume(approve={1: None})
    assert till.paid == [("ann", 20)]
