from collections.abc import Callable

import pytest

from cloche.bench.compare import changes, drift, machines_differ
from cloche.bench.results import Results

MakeResults = Callable[..., Results]
KEY = ("fresh.ready", "cloche")


def verdict(make: MakeResults, before: list[list[float]], after: list[list[float]], metric: str = "fresh.ready") -> str:
    key = (metric, "cloche")
    (change,) = changes(make({key: before}), make({key: after}))
    return change.verdict


def spread(middle: float) -> list[list[float]]:
    return [[middle * (1 + step / 100) for step in range(-5, 6)] for _ in range(4)]


@pytest.mark.parametrize(
    ("factor", "expected"), [(1.0, "same"), (1.01, "same"), (0.99, "same"), (1.3, "worse"), (0.7, "better")]
)
def test_only_what_is_beyond_noise_changed(make_results: MakeResults, factor: float, expected: str) -> None:
    assert verdict(make_results, spread(1.0), spread(factor)) == expected


def test_of_rates_more_is_better(make_results: MakeResults) -> None:
    assert verdict(make_results, spread(100.0), spread(150.0), "throughput.1") == "better"
    assert verdict(make_results, spread(100.0), spread(50.0), "throughput.1") == "worse"


def test_rounds_that_disagree_excuse_a_difference(make_results: MakeResults) -> None:
    wandering = [[1.0] * 10, [1.5] * 10]
    assert verdict(make_results, wandering, [[1.4] * 20]) == "same"
    assert verdict(make_results, [[1.0] * 20], [[1.4] * 20]) == "worse"


def test_a_single_sample_must_differ_by_more(make_results: MakeResults) -> None:
    assert verdict(make_results, [[1.0]], [[1.08]]) == "same"
    assert verdict(make_results, [[1.0]], [[1.2]]) == "worse"


def test_what_only_one_of_them_has(make_results: MakeResults) -> None:
    one, two = make_results({KEY: [[1.0]]}), make_results({("process", "exec"): [[1.0]]})
    found = {(change.metric, change.peer): change for change in changes(one, two)}
    assert found["process", "exec"].verdict == "new"
    assert found[KEY].verdict == "gone"
    assert found[KEY].factor is None


def test_a_baseline_that_moved_is_the_machine(make_results: MakeResults) -> None:
    before = make_results({("fresh.ready", "exec"): [[1.0]], ("session.next", "exec"): [[2.0]], KEY: [[1.0]]})
    after = make_results({("fresh.ready", "exec"): [[2.0]], ("session.next", "exec"): [[4.0]], KEY: [[9.0]]})
    assert drift(changes(before, after), "exec") == pytest.approx(2)
    assert drift(changes(before, after), "absent") is None


def test_machines_are_compared(make_results: MakeResults) -> None:
    one = make_results({KEY: [[1.0]]})
    other = one.model_copy(update={"machine": one.machine.model_copy(update={"cores": 64, "load": 9.0})})
    assert machines_differ(one, one) == []
    assert machines_differ(one, other) == ["cores: 2 / 64"]
