"""What a model is shown of its program: values, hints, and whose fault an error is."""

from typing import Any

import pytest

from cloche.agent import CodeAgent, ScriptedModel
from cloche.host_tools import tool
from cloche.host_tools.schema_tool import SchemaTool
from cloche.runtime.limits import Limits
from cloche.runtime.sandbox import Sandbox


@tool
async def price(city: str) -> dict[str, int]:
    """Return prices.

    Args:
        city: Where.
    """
    return {"bread": 4}


def observed(*programs: str, **options: Any) -> list[str]:
    lines = [f"<code>\n{program}\n</code>" for program in [*programs, "final_answer(1)"]]
    with CodeAgent([price], ScriptedModel(lines), **options) as agent:
        agent.run("t")
        return [step.observation for step in agent.memory.actions]


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        ("import collections\ncollections.deque([1, 2])", "Value: deque([1, 2])"),
        ("[{1: lambda: 1}]", "Value: [{1: <function"),
        ("class A:\n    def __repr__(self): return 'an A'\n[A()]", "Value: [an A]"),
        ("class A:\n    def __repr__(self): 1 / 0\nA()", "cannot be shown"),
        # A tool may be called without await; an async function of the program's own may not.
        ("r = price('Oslo')\nprint(r)", "{'bread': "),
        ("async def own():\n    return 1\nprint(own())", "x = await own(...)"),
        ("async def own():\n    return 1\nown()", "x = await own(...)"),
        ("async def own():\n    return {}\nown()['bread']", "has to be awaited"),
        ("(await price('Oslo')).bread", "value['bread']"),
        ("from tools import price", "do not import price"),
        ("import price", "do not import price"),
        ("import functions.final_answer", "do not import final_answer"),
        ("import numpy_", "not installed"),
    ],
)
def test_a_model_is_shown_what_helps(program: str, shown: str) -> None:
    assert shown in observed(program)[0]


@pytest.mark.parametrize(
    ("program", "limits"),
    [
        ("while True: pass", Limits(time=0.3, fuel=None)),
        ("while True: pass", Limits(fuel=50_000_000)),
        ("x = bytearray(10**9)", Limits()),
        ("print('x' * 10**7)", Limits(output=10_000)),
    ],
)
def test_a_model_is_not_asked_to_raise_limits(program: str, limits: Limits) -> None:
    (text, _) = observed(program, limits=limits)
    assert "Exceeded" in text or "Exhausted" in text
    assert "Limits(" not in text


def test_steps_are_named_by_their_numbers_and_own_frames_are_left_out() -> None:
    texts = observed("def f(x):\n    return 1 / x", "f(0)", "final_answer(lambda: 1)")
    assert 'File "<step 2>", line 1' in texts[1]
    assert 'File "<step 1>", line 2' in texts[1] or 'File "<step ?>", line 2' in texts[1]
    assert "<run" not in texts[2]
    assert "send(*args" not in texts[2]


def test_a_program_cannot_make_up_names_of_tools() -> None:
    forged = "import cloche_guest.agents.session as s\ns.reclaim = lambda: [['x' * 1000, 'price'], 'y']"
    texts = observed(forged, "1", "1")
    assert "xxx" not in "".join(texts)


def test_programs_find_nothing_of_the_agents_own_among_names_and_builtins() -> None:
    texts = observed(
        "import builtins", "[n for n in dir(builtins) if 'tool' in n or 'settle' in n or 'cloche' in n]", "1"
    )
    assert texts[1] == "Value: []"
    texts = observed("1", "sorted(n for n in globals() if n[:1] == '_' != n[1:2])", "1")
    assert texts[1] == "Value: []"


def test_a_parameter_may_be_called_self() -> None:
    schema = {"type": "object", "properties": {"self": {"type": "string"}, "called": {"type": "string"}}}
    one = SchemaTool("t", "d", schema, lambda arguments: arguments)
    result = Sandbox(tools=[one]).run("t(self='x', called='y')")
    assert result.unwrap() == {"self": "x", "called": "y"}
