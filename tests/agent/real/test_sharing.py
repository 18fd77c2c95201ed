"""Agents from the Hub that work: their code in the guest, their tools here."""

import socket
from typing import Any

import pytest

pytest.importorskip("huggingface_hub")


from cloche import Sandbox
from cloche.agent import CodeAgent, ModelUnavailable, MultiStepAgent, ScriptedModel
from cloche.host_tools import HubError, tool
from cloche.host_tools.external import SealedTool

FIRST = "<code>\nx = triple(7)\n</code>"
THEN = "<code>\nfinal_answer(x + triple(7))\n</code>"


@tool
def triple(x: int) -> int:
    """Triple a number."""
    return 3 * x


def test_without_a_hub_pushing_is_a_hub_error_of_one_line(at: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nowhere = {**at, "endpoint": f"http://127.0.0.1:{free.getsockname()[1]}"}
    with CodeAgent([triple], ScriptedModel([])) as agent, pytest.raises(HubError, match="me/agent: ") as caught:
        agent.push_to_hub("me/agent", **nowhere)
    assert "\n" not in str(caught.value)


def test_a_pulled_agent_works_with_the_tools_that_came_along(at: Any) -> None:
    with CodeAgent([triple], ScriptedModel([]), instructions="Multiply.") as agent:
        sha = agent.push_to_hub("me/agent", **at)
    both = "<code>\nfinal_answer(triple(14))\n</code>"
    model = ScriptedModel([both])
    with MultiStepAgent.from_hub("me/agent", model, trust_remote_code=True, revision=sha, **at) as pulled:
        assert pulled.run("t") == 42
        assert "Multiply." in pulled.memory.system.prompt


def test_a_pulled_agent_works_with_tools_of_ones_own_and_no_trust(at: Any) -> None:
    with CodeAgent([triple], ScriptedModel([])) as agent:
        agent.push_to_hub("me/agent", **at)
    own = "<code>\nfinal_answer(triple(1))\n</code>"
    with MultiStepAgent.from_hub("me/agent", ScriptedModel([own]), tools={"triple": lambda x: -x}, **at) as pulled:
        assert pulled.run("t") == -1


def test_memory_and_state_go_on_elsewhere(at: Any) -> None:
    with CodeAgent([triple], ScriptedModel([FIRST, ModelUnavailable("down")])) as agent:
        assert agent.run("t", return_full_result=True).state == "model_error"
        agent.push_to_hub("me/agent", memory=True, private=True, **at)
    options: Any = {"trust_remote_code": True, "memory": True, **at}
    with MultiStepAgent.from_hub("me/agent", ScriptedModel([THEN]), **options) as pulled:
        assert pulled.resume() == 42
        assert [step.number for step in pulled.memory.actions] == [1, 2]


def test_a_strangers_agent_and_its_tools_all_in_sandboxes(at: Any) -> None:
    with CodeAgent([triple], ScriptedModel([])) as agent:
        agent.push_to_hub("me/agent", **at)
    model = ScriptedModel(["<code>\nfinal_answer(triple(14))\n</code>"])
    with MultiStepAgent.from_hub("me/agent", model, tools_in=Sandbox(), **at) as pulled:
        assert isinstance(pulled.tools["triple"], SealedTool)
        assert pulled.run("t") == 42
