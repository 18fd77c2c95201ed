"""The mapping of tools, and its part as the runtime's dispatcher."""

import asyncio
import gc
import threading
import warnings
from typing import Any

import pytest

from cloche.host_tools import Tool, ToolDefinitionError, ToolRegistry, ToolRejected, call_id, tool
from cloche.host_tools.handles import Handles
from cloche.runtime.dispatch import Dispatcher, UnknownTool


@tool
def double(number: int) -> int:
    return number * 2


@tool
async def fetch(url: str) -> str:
    return url


async def as_coroutine(awaitable: Any) -> Any:
    return await awaitable


@tool(blocking=False)
def quick() -> int:
    return 1


def test_it_is_a_dispatcher_and_a_mapping() -> None:
    registry = ToolRegistry([double, fetch])
    dispatcher: Dispatcher = registry
    assert isinstance(dispatcher, Dispatcher)
    assert list(registry) == ["double", "fetch"]
    assert registry["double"] is double
    assert "double" in registry
    assert registry == {"double": double, "fetch": fetch}
    assert repr(registry) == "ToolRegistry(double, fetch)"


def test_calls_reach_the_tool() -> None:
    tools: dict[str, Tool] = {"twice": double, "fetch": fetch}
    registry = ToolRegistry(tools)
    assert registry.call("twice", [4], {}) == 8
    assert asyncio.run(as_coroutine(registry.call("fetch", [], {"url": "x"}))) == "x"
    assert (registry.is_async("twice"), registry.is_async("fetch")) == (False, True)


def test_messages_name_the_tool_as_it_was_called() -> None:
    with pytest.raises(ToolRejected, match=r"^twice\(\): argument 'number'"):
        ToolRegistry({"twice": double}).call("twice", [[]], {})


@pytest.mark.parametrize("name", ["nope", "__class__", "double.function", "", "call"])
def test_what_is_not_registered_does_not_exist(name: str) -> None:
    registry = ToolRegistry([double])
    with pytest.raises(UnknownTool):
        registry.call(name, [], {})
    with pytest.raises(UnknownTool):
        registry.is_async(name)
    with pytest.raises(KeyError):
        registry[name]


def test_it_changes_at_run_time_and_each_change_is_a_new_version() -> None:
    registry = ToolRegistry()
    versions = [registry.version()]

    def changed() -> None:
        versions.append(registry.version())

    registry["double"] = double
    changed()
    registry["double"] = lambda number: number  # pyright: ignore[reportUnknownLambdaType]
    changed()
    registry.add(fetch)
    changed()
    registry.update(quick=quick)
    changed()
    del registry["fetch"]
    changed()
    registry.pop("quick")
    changed()
    registry.clear()
    changed()
    assert versions == sorted(set(versions))
    assert registry.specs() == []


def test_no_two_registries_share_a_version() -> None:
    assert ToolRegistry([double]).version() != ToolRegistry([fetch]).version()


def test_a_failed_change_changes_nothing() -> None:
    registry = ToolRegistry([double])
    version = registry.version()
    with pytest.raises(ToolDefinitionError):
        registry["for"] = double
    with pytest.raises(ToolDefinitionError):
        registry.add(max)
    with pytest.raises(KeyError):
        del registry["nope"]
    assert (registry.version(), list(registry)) == (version, ["double"])


def test_a_taken_name_is_replaced_on_purpose_only() -> None:
    registry = ToolRegistry([double])
    assert registry.add(double) is double
    with pytest.raises(ToolDefinitionError, match="another tool has this name"):
        registry.add(tool(name="double")(lambda: 1))
    with pytest.raises(ToolDefinitionError, match="another tool has this name"):
        ToolRegistry([double, tool(name="double")(lambda: 1)])
    registry["double"] = fetch
    assert registry["double"] is fetch


def test_builtins_are_shadowed_on_request_only() -> None:
    with pytest.raises(ToolDefinitionError, match="hide the builtin"):
        ToolRegistry({"sum": double})
    assert list(ToolRegistry({"sum": double}, shadow_builtins=True)) == ["sum"]


@pytest.mark.parametrize("value", [3, "lookup", None, Tool])
def test_only_functions_and_tools_can_be_registered(value: Any) -> None:
    with pytest.raises(ToolDefinitionError):
        ToolRegistry()["thing"] = value


def test_plain_functions_need_no_annotations() -> None:
    registry = ToolRegistry()
    registry["pair"] = lambda a, b=2: (a, b)  # pyright: ignore[reportUnknownLambdaType]
    assert registry.call("pair", [object], {}) == (object, 2)
    with pytest.raises(ToolRejected, match="missing argument 'a'"):
        registry.call("pair", [], {})


def test_blocking_is_about_synchronous_tools() -> None:
    assert not ToolRegistry([fetch, quick]).blocking()
    assert ToolRegistry([fetch, quick, double]).blocking()
    assert not ToolRegistry().blocking()


def test_a_copy_changes_on_its_own() -> None:
    registry = ToolRegistry({"sum": double}, shadow_builtins=True)
    twin = registry.copy()
    twin["open"] = fetch
    assert list(registry) == ["sum"]
    assert list(twin) == ["sum", "open"]


def test_specs_given_out_can_be_changed_without_harm() -> None:
    registry = ToolRegistry([double])
    registry.specs().clear()
    assert [spec["name"] for spec in registry.specs()] == ["double"]


def test_iteration_goes_on_while_tools_change() -> None:
    registry = ToolRegistry([double, fetch])
    for name in registry:
        del registry[name]
    assert len(registry) == 0


def test_many_threads_may_change_and_call_at_once() -> None:
    registry = ToolRegistry([double])
    problems: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(100):
                registry[f"tool_{number}_{turn}"] = quick
                assert registry.call("double", [turn], {}) == turn * 2
                assert {spec["name"] for spec in registry.specs()} >= {"double", f"tool_{number}_{turn}"}
                del registry[f"tool_{number}_{turn}"]
        except BaseException as error:
            problems.append(error)

    before = registry.version()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert list(registry) == ["double"]
    assert registry.version() >= before + 800


def test_each_call_has_an_id_of_its_own() -> None:
    seen: list[str] = []

    def note() -> None:
        seen.append(call_id())
        seen.append(call_id())

    async def note_later() -> None:
        await asyncio.sleep(0)
        note()

    registry = ToolRegistry([note, note_later])
    registry.call("note", [], {})
    registry.call("note", [], {})

    async def several() -> None:
        await asyncio.gather(*(registry.call("note_later", [], {}) for _ in range(3)))

    asyncio.run(several())
    assert len(set(seen)) == 5
    assert sorted(seen) == sorted([*set(seen)] * 2)
    assert call_id() == ""


@pytest.mark.parametrize("handles", [None, Handles()], ids=["plain", "handles"])
def test_an_awaitable_that_is_closed_before_it_is_awaited_leaves_nothing_unawaited(handles: Handles | None) -> None:
    registry = ToolRegistry([fetch])
    registry.handles = handles
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        later: Any = registry.call("fetch", ["x"], {})
        later.close()
        del later
        gc.collect()
    assert asyncio.run(as_coroutine(registry.call("fetch", ["x"], {})))
