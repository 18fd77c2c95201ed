"""The count of what a run takes of the host's memory: what gives way, what cannot, and what it is that is counted."""

import copy
import gc
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from cloche.runtime import work as work_module
from cloche.runtime.bridge.calls import ToolCalls
from cloche.runtime.bridge.host_memory import HostMemory
from cloche.runtime.bridge.run_state import RunState
from cloche.runtime.dispatch import NoTools
from cloche.runtime.errors import HostMemoryExceeded
from cloche.runtime.limits import Limits
from cloche.runtime.machine_api import StopRun, StopSignal
from cloche.runtime.result import CALL_COST, OmittedError, ToolCallRecord, message_of
from cloche.runtime.values import MalformedValue, encode
from cloche.runtime.work import WorkEnded, current_work, discard, long_work, look, take

MIB = 1 << 20


@pytest.fixture(autouse=True)
def _rested(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the counts that a test makes rest at its end, as their runs would."""
    made: list[HostMemory] = []
    begin = HostMemory.__init__

    def noted(self: HostMemory, *given: Any) -> None:
        made.append(self)
        begin(self, *given)

    monkeypatch.setattr(HostMemory, "__init__", noted)
    yield
    for memory in made:
        memory.rest()


def memory_of(limit: int, *records: ToolCallRecord) -> HostMemory:
    return HostMemory(limit, list(records), StopSignal())


def record(charge: int, *, over: bool = True) -> ToolCallRecord:
    made = ToolCallRecord("tool", ["kept"], {})
    made.charge = CALL_COST + charge
    if over:
        made.end("returned", 0.0)
    return made


def test_the_oldest_records_give_way_and_calls_in_progress_do_not() -> None:
    records = [record(MIB), record(MIB, over=False), record(MIB), record(MIB)]
    memory = memory_of(4 * MIB + 10_000, *records)
    for each in records:
        memory.add(each.charge)
    memory.relieve(MIB)
    assert [each.trimmed for each in records] == [True, False, False, False]
    memory.relieve(2 * MIB)
    assert [each.trimmed for each in records] == [True, False, True, False]
    with pytest.raises(StopRun) as caught:
        memory.relieve(4 * MIB)
    error = caught.value.reason
    assert isinstance(error, HostMemoryExceeded)
    assert error.limit == memory.limit < error.used
    assert memory.stop.reason is error
    assert "Limits(host_memory=...)" in str(error)
    records[1].end("returned", 0.0)
    memory.relieve(4 * MIB)
    assert all(each.trimmed for each in records)
    assert memory.used == 4 * CALL_COST


def test_a_message_is_counted_by_what_it_takes_once_it_is_decoded() -> None:
    memory = memory_of(64 * MIB)
    text, lists = encode("x" * MIB), encode([[]] * 200_000)
    assert memory.measure(text)[0] < 2 * MIB
    assert memory.measure(lists)[0] > 200_000 * sys.getsizeof([])
    with pytest.raises(StopRun) as caught:
        memory.measure(encode([[]] * 2_000_000))
    assert isinstance(caught.value.reason, HostMemoryExceeded)
    with pytest.raises(MalformedValue):
        memory_of(MIB).measure(lists[:-1])


def test_work_on_a_message_ends_with_its_run() -> None:
    memory = memory_of(64 * MIB)
    data = encode([[]] * 200_000)
    memory.stop.deadline = 0.0
    for work in (memory.look, lambda: memory.take(1), lambda: memory.measure(data)):
        with pytest.raises(WorkEnded):
            work()
    full = memory_of(1_000)
    full.take(900)
    with pytest.raises(WorkEnded):
        full.take(900)
    assert isinstance(full.stop.reason, HostMemoryExceeded)


def test_what_is_looked_at_is_the_run_of_the_context() -> None:
    look()
    take(1 << 60)
    memory = memory_of(MIB)
    token = current_work.set(memory)
    try:
        look()
        with pytest.raises(WorkEnded):
            take(1 << 60)
    finally:
        current_work.reset(token)


def test_long_work_leaves_the_process_as_it_was() -> None:
    interval, collects = sys.getswitchinterval(), gc.isenabled()
    with pytest.raises(KeyError), long_work:  # noqa: PT012
        assert not gc.isenabled()
        with long_work:
            assert sys.getswitchinterval() < interval
        assert not gc.isenabled()
        raise KeyError
    assert (sys.getswitchinterval(), gc.isenabled()) == (interval, collects)


def test_output_is_counted_as_the_text_that_it_becomes() -> None:
    run = RunState(Limits(output="8 MiB", host_memory="8 MiB"))
    for _ in range(30):
        run.write(1, b"x" * 100_000)
    assert 5_900_000 <= run.memory.used <= 6_100_000
    with pytest.raises(StopRun) as caught:
        run.write(1, "\N{BELL}".encode() * 10_000)
    assert isinstance(caught.value.reason, HostMemoryExceeded)


class Large:
    """Something that can be watched."""


def failed(cause: BaseException | None, *args: Any) -> tuple[ToolCallRecord, "weakref.ref[Large]"]:
    held = Large()
    made = ToolCallRecord("tool", [held], {})

    def tool(argument: Large) -> None:
        kept = argument
        raise ValueError(*args, kept if not args else "") from cause

    try:
        tool(held)
    except ValueError as error:
        made.fail(error)
    made.end("raised", 0.0)
    return made, weakref.ref(held)


def test_a_failed_call_keeps_nothing_of_the_functions_that_it_was_made_by() -> None:
    held: list[weakref.ref[Large]] = []

    def make(call: Any) -> None:
        message = Large()
        held.append(weakref.ref(message))
        call()

    def failing() -> None:
        try:
            raise ValueError
        except ValueError as error:
            calls.failed(calls.begin("tool", [], {}, 0, 0.0), error)

    run = RunState(Limits())
    calls = ToolCalls(NoTools(), run)
    make(failing)
    assert held[0]() is not None
    make(failing)
    assert held[0]() is None
    calls.let_go()
    assert held[1]() is None
    assert all(record.error is not None and record.error.__traceback__ is not None for record in run.calls)


def test_a_failed_call_that_gives_way_to_the_next_keeps_no_frames_alive() -> None:
    held: list[weakref.ref[Large]] = []

    def make() -> None:
        large = Large()
        held.append(weakref.ref(large))
        failing()

    def failing() -> None:
        # What the handlers do: the error stays in a variable of a function that is further up than the traceback.
        settled = settle()
        calls.failed(calls.begin("tool", [], {}, MIB, 0.0), settled)

    def settle() -> ValueError:
        try:
            raise ValueError([])
        except ValueError as error:
            return error

    calls = ToolCalls(NoTools(), RunState(Limits()))
    make()
    gc.disable()
    try:
        calls.memory.relieve(calls.memory.limit - MIB)
        assert calls.run.calls[0].trimmed
        assert held[0]() is None
    finally:
        gc.enable()


def test_what_waits_is_not_closed_for_an_error_that_it_caught() -> None:
    caught: list[ValueError] = []
    closed: list[bool] = []

    def waiting() -> Iterator[None]:
        try:
            raise ValueError
        except ValueError as error:
            caught.append(error)
        try:
            yield
        except GeneratorExit:
            closed.append(True)

    steps = waiting()
    next(steps)
    made = ToolCallRecord("tool", [], {})
    made.fail(caught[0])
    made.let_go()
    assert not closed
    assert list(steps) == []


def test_a_failed_calls_record_keeps_nothing_alive_by_its_traceback() -> None:
    made, held = failed(None, "short")
    assert made.error is not None
    lines = made.error.__traceback__
    assert lines is not None
    assert lines.tb_next is not None
    assert not lines.tb_next.tb_frame.f_locals
    assert held() is not None
    del lines
    made.trim()
    gc.collect()
    assert held() is None
    assert isinstance(made.error, ValueError)
    assert made.trimmed


def test_an_error_that_holds_much_is_omitted_from_a_trimmed_record() -> None:
    made, held = failed(TypeError("cause"))
    made.trim()
    gc.collect()
    assert held() is None
    assert isinstance(made.error, OmittedError)
    assert made.error.type_name == "ValueError"
    assert len(str(made.error)) < 2_000


def test_an_error_that_spells_a_large_value_is_shown_in_short() -> None:
    assert message_of(ValueError([1, 2])) == "[1, 2]"
    assert message_of(KeyError("a")) == "'a'"
    assert len(message_of(ValueError([[]] * 100_000))) < 1_000
    assert len(message_of(ValueError({"a": [[1] * 100_000]}))) < 1_000

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert message_of(Mute()) == ""


def test_what_long_work_made_is_not_looked_through() -> None:
    gc.collect()
    young = gc.get_count()[0]
    with long_work:
        kept = [[index] for index in range(50_000)]
    assert gc.get_count()[0] <= young + 1_000
    assert not gc.get_freeze_count()
    assert len(gc.get_objects(generation=0)) < 10_000
    assert kept


def test_what_the_host_has_frozen_stays_so() -> None:
    gc.collect()
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with long_work:
            kept = [[index] for index in range(50_000)]
        # What other threads have dropped meanwhile may be gone; released, it would all be.
        assert gc.get_freeze_count() > frozen // 2
        assert kept
    finally:
        gc.unfreeze()


def test_values_are_dropped_in_pieces_unless_they_are_used_elsewhere() -> None:
    first, second = Large(), Large()
    gone = weakref.ref(first), weakref.ref(second)
    used = [[second] * 50_000, 5]
    numbers: dict[int, Any] = {index: index for index in range(20_000)}
    discard([[[first] * 50_000], {"a": [[1] * 20_000] * 3}, numbers, [[[first]]] * 2, used, None, "x"], 1 << 20)
    assert used == [[second] * 50_000, 5]
    assert len(numbers) == 20_000
    del first, second
    assert gone[0]() is None
    assert gone[1]() is not None


@pytest.mark.parametrize(
    "value", [[[]] * 300_000, [[[]] * 1_000 for _ in range(300)], [[[[]] * 600] * 500]], ids=range(3)
)
def test_what_a_record_lets_go_is_freed_in_small_parts(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[int] = []
    part_of = work_module._part_of  # pyright: ignore[reportPrivateUsage]

    def noted(count: int, size: int) -> int:
        parts.append(part_of(count, size))
        return parts[-1]

    monkeypatch.setattr(work_module, "_part_of", noted)
    made = ToolCallRecord("tool", [copy.deepcopy(value)], {})
    made.charge = 300_000 * 64
    made.trim()
    assert len(parts) > 40
    assert max(parts) <= 20_000


def test_threads_take_short_turns_from_a_look_until_there_is_nothing_to_look_at() -> None:
    interval = sys.getswitchinterval()
    first, second = memory_of(MIB), memory_of(MIB)
    first.look()
    first.look()
    second.look()
    assert sys.getswitchinterval() < interval
    first.rest()
    first.rest()
    assert sys.getswitchinterval() < interval
    second.rest()
    assert sys.getswitchinterval() == interval


def test_turns_are_as_usual_while_a_tool_runs_and_after_the_run() -> None:
    interval, seen = sys.getswitchinterval(), list[float]()

    class Tools(NoTools):
        def call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
            seen.append(sys.getswitchinterval())
            return [[1] * 100] * 1_000

    run = RunState(Limits())
    calls = ToolCalls(Tools(), run)
    run.memory.look()
    reply = calls.returned(calls.begin("tool", [], {}, 1, 0.0), calls.tools.call("tool", [], {}))
    assert len(reply) > 100_000
    assert [*seen, sys.getswitchinterval()] == [interval] * 2
    run.memory.look()
    run.rest()
    assert sys.getswitchinterval() == interval
