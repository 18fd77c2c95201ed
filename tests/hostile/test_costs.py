"""The generated worst cases of the host's own work: each is done in pieces that can be ended, and its cost is known."""

import tracemalloc
from typing import Any

import pytest
from tests.hostile.costs import ANNOTATIONS, STAGES, messages

from cloche.host_tools.convert import Converter
from cloche.runtime.bridge.host_memory import HostMemory
from cloche.runtime.machine_api import StopSignal
from cloche.runtime.values import MalformedValue, decode
from cloche.runtime.values.cost import cost_of
from cloche.runtime.work import WorkEnded, current_work

SIZE = 50_000
CASES = {case.name: case for case in messages(400) if case.name.startswith("100%")}


class Counting(HostMemory):
    """Counts the looks, and ends the work from one of them on."""

    def __init__(self, end: int) -> None:
        super().__init__(1 << 40, [], StopSignal())
        self.looks = 0
        self.end = end

    def look(self) -> None:
        self.looks += 1
        if 0 < self.end <= self.looks:
            raise WorkEnded


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_message_is_measured_and_decoded_in_small_pieces(name: str) -> None:
    data = CASES[name].message(SIZE)
    count = Counting(0)
    try:
        cost = cost_of(data, 1 << 40, count.look)
    except MalformedValue:  # lengths that take more bytes than they need
        assert "wasteful" in name
        return
    counted = Counting(0)
    tracemalloc.start()
    try:
        decode(data, measured=True, budget=1 << 40, look=counted.look)
    except MalformedValue:  # a date that the codec does not write
        return
    finally:
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert counted.looks >= len(data) // 4_096
    assert used <= cost * 4 // 3 + 200_000, f"takes {used:,} and was said to take {cost:,}"
    for work in (lambda look: cost_of(data, cost // 2, look), lambda look: decode(data, measured=True, look=look)):
        with pytest.raises((WorkEnded, MalformedValue)):
            work(Counting(2).look)


VALUES: tuple[Any, ...] = ([[] for _ in range(20_000)], [{} for _ in range(20_000)], ["1"] * 20_000, [1] * 20_000,
                           {str(key): [key] for key in range(20_000)}, [[1, 2]] * 20_000)  # fmt: skip


@pytest.mark.parametrize("annotation", ANNOTATIONS, ids=str)
def test_arguments_are_checked_in_pieces_and_as_ever(annotation: Any) -> None:
    converter = Converter(annotation)
    for value in VALUES:
        try:
            plain = converter.convert(value)
        except ValueError:
            continue
        assert _checked(converter, value, Counting(0)) == plain
        with pytest.raises(WorkEnded):
            _checked(converter, value, Counting(3))


def _checked(converter: Converter, value: Any, work: HostMemory) -> Any:
    token = current_work.set(work)
    try:
        return converter.convert(value)
    finally:
        current_work.reset(token)


def test_each_stage_has_two_hundred_cases() -> None:
    for stage, cases in STAGES.items():
        assert len(list(cases(240))) >= 200, stage
