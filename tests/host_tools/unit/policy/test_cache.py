"""Tools whose values are kept for a while."""

import asyncio
import tracemalloc
from typing import Any

import pytest

from cloche import Sandbox
from cloche.host_tools import tool
from cloche.host_tools.call_log import MemoryLog
from cloche.host_tools.policy import GuardedTools, Policy, ToolDenied
from cloche.host_tools.policy import cache as kept
from cloche.runtime.errors import ConfigurationError

MADE: list[Any] = []


@tool
def look(word: str, *, deep: bool = False) -> dict[str, list[str]]:
    """Look a word up."""
    MADE.append(word)
    if word == "bad":
        raise ValueError(word)
    return {"found": [word]}


@tool
async def alook(word: str) -> list[str]:
    """Look a word up."""
    MADE.append(word)
    await asyncio.sleep(0)
    return [word]


@pytest.fixture(autouse=True)
def _nothing_made() -> None:
    MADE.clear()


def test_the_same_arguments_give_the_same_value_without_a_call() -> None:
    tools = GuardedTools([look], default=Policy(cache=60))
    first = tools.call("look", ["a"], {})
    first["found"].append("changed")
    assert tools.call("look", [], {"word": "a", "deep": False}) == {"found": ["a"]}
    assert tools.call("look", ["a"], {"deep": True}) == {"found": ["a"]}
    assert tools.call("look", ["b"], {}) == {"found": ["b"]}
    assert MADE == ["a", "a", "b"]


def test_it_is_judged_counted_masked_and_recorded_all_the_same() -> None:
    log = MemoryLog()
    policy = Policy(cache=60, calls=2, mask=lambda value: list(value["found"]))
    tools = GuardedTools([look], {"look": policy}, log=log)
    assert [tools.call("look", ["a"], {}), tools.call("look", ["a"], {})] == [["a"], ["a"]]
    with pytest.raises(ToolDenied, match="one run may call it 2 times"):
        tools.call("look", ["a"], {})
    assert [record.attempts for record in log.records] == [1, 0, 0]


def test_errors_and_old_values_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = GuardedTools([look], default=Policy(cache=60))
    for _ in range(2):
        with pytest.raises(ValueError, match="bad"):
            tools.call("look", ["bad"], {})
    now = [0.0]
    monkeypatch.setattr(kept, "monotonic", lambda: now[0])
    tools.call("look", ["a"], {})
    now[0] = 60.0
    tools.call("look", ["a"], {})
    now[0] = 60.1
    tools.call("look", ["a"], {})
    assert MADE == ["bad", "bad", "a", "a"]


def test_another_tool_of_that_name_has_no_part_in_it_and_the_oldest_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept, "_MAX_KEPT", 2)
    tools = GuardedTools([look], default=Policy(cache=60))
    for word in ("a", "b", "c", "a"):
        tools.call("look", [word], {})
    assert MADE == ["a", "b", "c", "a"]
    tools.tools["look"] = lambda word: "other"
    assert tools.call("look", ["a"], {}) == "other"


def test_async_tools_and_programs_have_it_too() -> None:
    sandbox = Sandbox(GuardedTools([look, alook], default=Policy(cache=60)))
    program = "[look('a'), look('a'), await alook('b'), await alook('b')]"
    for _ in range(2):
        assert sandbox.run(program).unwrap() == [{"found": ["a"]}, {"found": ["a"]}, ["b"], ["b"]]
    assert MADE == ["a", "b"]


def test_a_time_has_to_be_positive() -> None:
    with pytest.raises(ConfigurationError, match="cache"):
        Policy(cache=0)


@tool(blocking=False)
def repeat(text: str, times: int = 1) -> list[str]:
    """Repeat a text."""
    MADE.append(times)
    return [text + str(number) for number in range(times)]


def test_what_programs_send_and_get_is_kept_up_to_a_size() -> None:
    tools = GuardedTools([repeat], default=Policy(cache=60))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(40):
        tools.call("repeat", [f"{number} " + "x" * 1_000_000], {})
    # Of the arguments nothing is kept; of the values 64 MiB, the ones used last.
    assert 30 << 20 < tracemalloc.get_traced_memory()[0] - before < 70 << 20
    for number in range(40, 120):
        tools.call("repeat", [f"{number} " + "x" * 1_000_000], {})
    assert tracemalloc.get_traced_memory()[0] - before < 70 << 20
    tracemalloc.stop()
    MADE.clear()
    tools.call("repeat", ["119 " + "x" * 1_000_000], {})
    assert not MADE
    tools.call("repeat", ["0 " + "x" * 1_000_000], {})
    assert MADE == [1]


def test_a_large_value_is_not_kept() -> None:
    tools = GuardedTools([repeat], default=Policy(cache=60))
    for _ in range(2):
        tools.call("repeat", ["x", 49_000], {})
        tools.call("repeat", ["x", 60_000], {})
    assert MADE == [49_000, 60_000, 60_000]
