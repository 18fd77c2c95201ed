"""Async tools and managed agents in programs, with ``await`` and without: a plain call blocks."""

import asyncio
from typing import Any

import pytest

from cloche import CodeAgent, tool
from cloche.agent import ScriptedModel


class Desk:
    """An async tool that counts how many calls of it run at the same time."""

    def __init__(self, expected: int = 1) -> None:
        self.running = self.peak = self.calls = 0
        self.expected = expected

    async def look(self, word: str) -> str:
        """Look a word up."""
        self.calls += 1
        self.running += 1
        self.peak = max(self.peak, self.running)
        # Others that were started get their turn before this one ends.
        for turn in range(2_000):
            if turn >= 5 and self.peak >= self.expected:
                break
            await asyncio.sleep(0.005)
        self.running -= 1
        return word.upper()


def worked(desk: Desk, program: str, awaited: bool) -> Any:
    model = ScriptedModel([f"<code>\n{program}\n</code>"])
    with CodeAgent([tool(desk.look)], model, max_steps=1) as agent:
        result = asyncio.run(agent.arun("t")) if awaited else agent.run("t")
        assert agent.memory.actions[0].error is None, agent.memory.actions[0].observation
    return result


GATHERED = "import asyncio\nwords = [look(w) for w in 'abc']\nfinal_answer(await asyncio.gather(*words))"
INNER = "def ask(w):\n    return look(w)\nimport asyncio\nfinal_answer(await asyncio.gather(*map(ask, 'abc')))"
TASKS = "import asyncio\nt, u = asyncio.create_task(look('a')), look('b')\nfinal_answer([await t, await u])"
GROUP = """import asyncio
async def main():
    async with asyncio.TaskGroup() as group:
        one, two = group.create_task(look('a')), group.create_task(look(word='b'))
    return [one.result(), two.result()]
final_answer(await main())"""


@pytest.mark.parametrize("awaited", [False, True])
@pytest.mark.parametrize(
    ("program", "answer", "peak"),
    [
        ("final_answer(look('a') + 'b')", "Ab", 1),
        ("final_answer(await look('a'))", "A", 1),
        ("x = look('a')\nfinal_answer([type(x).__name__, ', '.join([x, look(word='b')])])", ["str", "A, B"], 1),
        ("def ask(w):\n    return look(w)\nfinal_answer([ask(w) for w in 'ab'])", ["A", "B"], 1),
        (GATHERED, ["A", "B", "C"], 3),
        (INNER, ["A", "B", "C"], 3),
        (GROUP, ["A", "B"], 2),
        (TASKS, ["A", "B"], 1),
        ("import asyncio\nfinal_answer(await asyncio.to_thread(look, 'a'))", "A", 1),
        # Where asyncio is about, a call that is not awaited has its value once it is used.
        ("import asyncio\nx = look('a')\nawait asyncio.sleep(0)\n"
         "final_answer([f'{x}!', '!' + x, x == 'A', x.lower(), x[0], *x])",
         ["A!", "!A", True, "a", "A", "A"], 1),
        ("import asyncio\nx = look('a')\nawait asyncio.sleep(0)\nfinal_answer([x, {'k': (x, 1)}])",
         ["A", {"k": ("A", 1)}], 1),
        # An import alone is no sign that anything is awaited: such a call has its value at once.
        ("import asyncio, json\nx = look('a')\nfinal_answer(json.dumps([x, isinstance(x, str)]))", '["A", true]', 1),
        ("import asyncio\nasync def f():\n    return [look(w) for w in 'ab']\nfinal_answer(await f())", ["A", "B"], 1),
        ("import asyncio\nfinal_answer(look('a'))", "A", 1),
        ("import asyncio\nx = look('a')\nstr(x)\nfinal_answer(await x)", "A", 1),
    ],
)  # fmt: skip
def test_programs(program: str, answer: Any, peak: int, awaited: bool) -> None:
    desk = Desk(peak)
    assert worked(desk, program, awaited) == answer
    assert desk.peak == peak


def test_a_call_whose_result_is_dropped_is_made() -> None:
    desk = Desk()
    worked(desk, "import asyncio\nlook('a')\nfinal_answer(1)", awaited=False)
    assert desk.calls == 1


def test_a_call_that_was_never_made_says_so() -> None:
    programs = ["import asyncio\nx = look('a')\nawait asyncio.sleep(0)\nx = None", "final_answer(1)"]
    model = ScriptedModel([f"<code>\n{program}\n</code>" for program in programs])
    with CodeAgent([tool(Desk().look)], model) as agent:
        agent.run("t")
        assert "look() was never called" in agent.memory.actions[0].observation


def test_errors_come_out_where_the_call_is() -> None:
    program = "try:\n    look(3)\nexcept TypeError as error:\n    final_answer(str(error))"
    assert "valid string" in worked(Desk(), program, awaited=False)


def test_tools_that_are_added_later_are_called_either_way() -> None:
    model = ScriptedModel(["<code>\nprint(1)\n</code>", "<code>\nfinal_answer(look('a') + await look('b'))\n</code>"])
    with CodeAgent([], model) as agent:
        agent.callbacks.register(object, lambda _: agent.tools.update(look=tool(DESK.look)))
        assert agent.run("t") == "AB"


DESK = Desk()


def test_managed_agents_are_called_either_way() -> None:
    def helper(name: str) -> CodeAgent:
        model = ScriptedModel(lambda _: f"<code>\nfinal_answer('{name} did it')\n</code>")
        return CodeAgent([], model, name=name, description="Helps.")

    programs = ["answer = one('first task')\nprint(answer)", "final_answer(answer + ', ' + await two(task='second'))"]
    model = ScriptedModel([f"<code>\n{program}\n</code>" for program in programs])
    with CodeAgent([], model, managed_agents=[helper("one"), helper("two")]) as agent:
        assert agent.run("t") == "one did it, two did it"
        assert "one did it" in agent.memory.actions[0].observation
