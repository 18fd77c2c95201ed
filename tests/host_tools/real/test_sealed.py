"""Tools of strangers, whose code runs in a sandbox of its own: they work, and have nothing of the host."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.host_tools.unit.external.hub_server import HubServer, hub_server

from cloche import Sandbox
from cloche.host_tools import ToolDefinitionError, ToolFailed, ToolRejected, tool
from cloche.host_tools.external import SealedTool, ToolCollection, load_tool
from cloche.runtime.errors import SessionClosed
from cloche.runtime.limits import Limits

OURS = '''
from typing import Literal
from cloche.host_tools import tool

@tool
def repeat(text: str, times: int = 2, end: Literal["!", "?"] = "!") -> str:
    """Say it again.

    Args:
        text: What to say.
        times: How often.
    """
    return text * times + end
'''
THEIRS = """
from smolagents import Tool
import os

class Look(Tool):
    name = "look-around"
    description = "Says what there is."
    inputs = {
        "path": {"type": "string", "description": "Where to look."},
        "deep": {"type": "boolean", "description": "How.", "nullable": True},
    }
    output_type = "any"

    def __init__(self, start=0):
        self.count = start

    def setup(self):
        self.count += 1

    def forward(self, path, deep=None):
        self.count += 1
        return [self.count, os.path.exists(path), os.environ.get("CLOCHE_SECRET"), deep]
"""


@pytest.fixture
def box() -> Sandbox:
    return Sandbox(limits=Limits(time=10))


@pytest.fixture
def seal(box: Sandbox) -> Iterator[Any]:
    made: list[SealedTool] = []

    def seal(source: str, sandbox: Sandbox | None = None, **arguments: Any) -> SealedTool:
        made.append(SealedTool("here", source.encode(), sandbox or box, arguments))
        return made[-1]

    yield seal
    for one in made:
        one.close()


def test_a_tool_of_ours(seal: Any) -> None:
    repeat = seal(OURS)
    assert (repeat.name, repeat.description.splitlines()[0]) == ("repeat", "Say it again.")
    assert [(one.name, one.required, one.description) for one in repeat.inputs] == [
        ("text", True, "What to say."),
        ("times", False, "How often."),
        ("end", False, ""),
    ]
    assert repeat.invoke(["ab"], {}) == "abab!"
    assert repeat.invoke(["ab", 1], {"end": "?"}) == "ab?"
    with pytest.raises(ToolRejected, match="'end'"):
        repeat.invoke(["ab"], {"end": "."})
    assert Sandbox(tools=[repeat]).run("repeat('x', times=3)").unwrap() == "xxx!"


def test_a_tool_of_smolagents_without_smolagents_and_without_the_host(
    seal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOCHE_SECRET", "the host's")
    look = seal(THEIRS, start=10)
    assert look.name == "look_around"
    assert Path(__file__).exists()
    assert look.invoke([__file__], {}) == [12, False, None, None]
    # Its state lasts, as an object's does.
    assert look.invoke([], {"path": "/work", "deep": True}) == [13, True, None, True]


def test_what_crosses_is_what_crosses_for_programs(seal: Any) -> None:
    echo = seal("async def echo(x):\n    return [x, (1, 2), b'out']")
    assert echo.invoke([{"a": b"in", "b": (1.5, None)}], {}) == [{"a": b"in", "b": (1.5, None)}, (1, 2), b"out"]


def test_annotations_are_told_as_types_and_checked_here(seal: Any) -> None:
    signature = "a: int | None, b: list[str], c: dict, d: 'float', e, f: NoSuchType = None"
    many = seal(f"from __future__ import annotations\ndef many({signature}):\n    return [a, b, c, d, e, f]")
    # One name that is not there, and nothing is known of any; without it, all is.
    assert {one.annotation for one in many.inputs} == {Any}
    known = seal(
        f"from __future__ import annotations\ndef many({signature.replace('NoSuchType', 'bool')}):\n    return a"
    )
    assert [one.annotation for one in known.inputs] == [int | None, list[str], dict[str, Any], float, Any, bool | None]
    assert known.invoke([None, ["x"], {}, 1.5, 2j], {}) is None
    with pytest.raises(ToolRejected, match=r"b\[0\]"):
        known.invoke([1, [2], {}, 1.5, 0], {})


def test_it_may_call_the_tools_of_its_sandbox_and_no_others(seal: Any) -> None:
    @tool
    def rate(currency: str) -> float:
        """Tell a rate."""
        return {"EUR": 1.25}[currency]

    convert = seal("def convert(x):\n    return x * rate('EUR')", Sandbox(tools=[rate]))
    assert convert.invoke([4], {}) == 5.0
    with pytest.raises(ToolFailed, match=r"convert\(\) failed: NameError"):
        seal("def convert(x):\n    return x * rate('EUR')").invoke([4], {})


def test_its_limits_are_the_sandboxes_and_it_goes_on(seal: Any) -> None:
    tight = Sandbox(limits=Limits(fuel=200_000_000, time=60))
    count = seal("seen = []\ndef count(x):\n    seen.append(x)\n    while x == '': pass\n    return seen", tight)
    assert count.invoke(["a"], {}) == ["a"]
    with pytest.raises(ToolFailed, match="fuel"):
        count.invoke([""], {})
    assert count.invoke(["b"], {}) == ["a", "b"]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("x = (", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("import requests", "ModuleNotFoundError"),
        ("x = 1", "no tool"),
        ("def a(): ...\ndef b(): ...", "defines 2 tools"),
        ("while True: pass", "time|fuel"),
        ("import os\nos._exit(1)", "does not run in the sandbox"),
    ],
)
def test_code_that_is_no_tool(source: str, problem: str) -> None:
    box = Sandbox(limits=Limits(fuel=200_000_000, time=60))
    try:
        with pytest.raises(ToolDefinitionError, match=problem):
            SealedTool("here", source.encode(), box)
    finally:
        assert box.run("6 * 7").unwrap() == 42


@pytest.mark.parametrize(
    "told",
    [
        "5",
        "{'name': 5, 'description': '', 'schema': {}}",
        "{'name': 'x', 'description': '', 'schema': {1: 2}}",
        "{'name': 'x', 'description': '', 'schema': {}, 'more': 1}",
        "{'name': 'x', 'description': '', 'schema': {'properties': {'a': {1j}}}}",
    ],
)
def test_what_the_code_says_of_itself_is_not_believed(told: str) -> None:
    # It shares its interpreter with what describes it, and may take its place.
    forged = f"import cloche_reader\ncloche_reader.describe = lambda *_: {told}\ndef f(): ..."
    with pytest.raises(ToolDefinitionError):
        SealedTool("here", forged.encode(), Sandbox())


def test_after_its_end(seal: Any) -> None:
    repeat = seal(OURS)
    repeat.close()
    repeat.close()
    with pytest.raises(SessionClosed):
        repeat.invoke(["x"], {})


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with hub_server() as server:
        yield server


def test_from_the_hub_without_trust(hub: HubServer, box: Sandbox, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    at: Any = {"endpoint": hub.endpoint, "token": False, "cache_dir": tmp_path}
    hub.commit("owner/repeat", {"tool.py": OURS})
    hub.commit("owner/look", {"tool.py": THEIRS})
    hub.collections["owner/tools-1"] = [("space", "owner/repeat"), ("space", "owner/look")]
    assert load_tool("owner/repeat", sandbox=box, **at).invoke(["a"], {}) == "aa!"
    tools = ToolCollection.from_hub("owner/tools-1", sandbox=box, **at)
    assert Sandbox(tools=tools).run("[repeat('a'), look_around('/etc')[1]]").unwrap() == ["aa!", False]
