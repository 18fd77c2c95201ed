import math
import statistics
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.bench.results import Results
from cloche.bench.statistics import geometric_mean, machine_noise, quantile, ratio, summary

amounts = st.floats(min_value=1e-9, max_value=1e9)
blocks = st.lists(st.lists(amounts, min_size=1, max_size=20), min_size=1, max_size=5)


@given(blocks)
def test_the_median_is_that_of_all_samples(rounds: list[list[float]]) -> None:
    samples = [sample for block in rounds for sample in block]
    found = summary(rounds)
    assert math.isclose(found.median, statistics.median(samples))
    assert found.count == len(samples)
    assert found.min == min(samples)
    assert found.max == max(samples)
    assert found.min <= found.low <= found.median <= found.high <= found.max


@given(st.lists(amounts, min_size=2, max_size=30))
def test_the_quartiles_are_those_of_the_standard_library(samples: list[float]) -> None:
    expected = statistics.quantiles(samples, n=4, method="inclusive")
    found = [quantile(sorted(samples), share) for share in (0.25, 0.5, 0.75)]
    assert all(math.isclose(one, other) for one, other in zip(found, expected, strict=True))


def test_nothing_has_no_median() -> None:
    with pytest.raises(ValueError, match="no samples"):
        summary([])


def test_rounds_that_drift_apart_are_noise_even_if_each_is_quiet() -> None:
    quiet = summary([[1.0] * 50, [1.0] * 50])
    drifting = summary([[1.0] * 50, [1.4] * 50])
    assert quiet.noise == 0
    assert drifting.noise == pytest.approx(0.2)


def test_more_samples_of_the_same_spread_are_less_noise() -> None:
    few, many = summary([[1.0, 2.0, 3.0]]), summary([[1.0, 2.0, 3.0] * 30])
    assert many.noise < few.noise


@given(st.lists(amounts, min_size=1, max_size=12))
def test_twice_as_fast_and_half_as_fast_cancel_out(ratios: list[float]) -> None:
    mean = geometric_mean([*ratios, *(1 / ratio for ratio in ratios)])
    assert mean == pytest.approx(1)


def test_the_mean_of_no_ratios_is_none() -> None:
    assert geometric_mean([]) is None


def test_a_ratio_needs_both_and_a_base_that_is_something(make_results: Callable[..., Results]) -> None:
    results = make_results({("memory.idle", "exec"): [[0.0]], ("memory.idle", "cloche"): [[5.0]]})
    assert ratio(results, "memory.idle", "cloche", "exec") is None
    assert ratio(results, "memory.idle", "absent", "cloche") is None
    assert ratio(results, "memory.idle", "cloche", "cloche") == 1


def test_the_machines_noise_is_how_far_the_baselines_rounds_are_apart(make_results: Callable[..., Results]) -> None:
    found: dict[tuple[str, str], list[list[float]]] = {
        ("fresh.ready", "exec"): [[1.0, 1.0], [1.2, 1.2, 9.0]],
        ("session.next", "exec"): [[2.0], [2.0]],
        ("session.repeat", "exec"): [[1.0], [1.5], [1.25]],
        ("tool.ints", "exec"): [[1.0, 7.0]],
        ("fresh.ready", "monty"): [[1.0], [5.0]],
    }
    assert machine_noise(make_results(found)) == pytest.approx(0.2 / 1.1)
    assert machine_noise(make_results({("tool.ints", "exec"): [[1.0]]})) is None
