import time
from typing import Any

import pytest

from cloche.runtime.bridge.environment import BILLION, Environment, EnvironmentState, FuelClock, parse_clock, parse_seed
from cloche.runtime.errors import ConfigurationError


def test_a_seed_gives_one_stream() -> None:
    one, other, third = Environment(b"a", None), Environment(b"a", None), Environment(b"b", None)
    drawn = [one.random(8), one.random(8)]
    assert drawn == [other.random(8), other.random(8)]
    assert drawn[0] != drawn[1]
    assert third.random(8) not in drawn


def test_without_a_seed_every_draw_is_new() -> None:
    assert len({Environment(None, None).random(16) for _ in range(50)}) == 50


def test_time_stands_still_except_while_sleeping() -> None:
    world = Environment(None, FuelClock(5, rate=0))
    world.begin(lambda: 1 << 40)
    assert world.now(0) == world.now(1) == 5_000_000_000
    world.pass_time(2)
    world.end()
    assert world.now(0) == 7_000_000_001


def test_time_passes_with_fuel_run_after_run() -> None:
    world, used = Environment(None, FuelClock(1, rate=10)), 0
    world.begin(lambda: used)
    used = 20
    assert world.now(0) == 3_000_000_000
    world.end()
    used = 0
    world.begin(lambda: used)
    assert world.now(1) == 3_000_000_000
    used = 5
    assert world.now(0) == 3_500_000_000


def test_going_back_takes_time_and_draws_back() -> None:
    world = Environment(b"a", FuelClock(0, rate=1))
    mark = world.mark()
    world.begin(lambda: 7)
    first = world.random(4)
    world.go_back(mark)
    assert world.now(0) == 0
    assert world.random(4) == first


def test_a_world_resumes_where_another_stood() -> None:
    world, other = Environment(b"a", FuelClock(1, rate=3)), Environment(None, None)
    world.random(4)
    other.resume(world.state())
    assert (other.has_seed, other.rate, other.is_repeatable) == (True, 3, True)
    assert (other.random(4), other.now(0)) == (world.random(4), world.now(0))


def test_what_a_state_lacks_is_the_worlds_own() -> None:
    world = Environment(b"a", FuelClock(9, rate=0))
    first = Environment(b"a", None).random(4)
    world.resume(Environment(None, None).state())
    assert world.random(4) == first
    assert world.now(0) == 9_000_000_000


def test_a_real_monotonic_clock_goes_on() -> None:
    state = Environment(None, None).state()._replace(monotonic=123)
    world = Environment(None, None)
    world.resume(state)
    assert world.now(1) >= 123
    assert world.now(1) < time.monotonic_ns() + 123
    assert abs(world.now(0) - time.time_ns()) < 60_000_000_000


def test_clocks_as_callers_write_them() -> None:
    assert parse_clock("real") is None
    assert parse_clock("fuel") == FuelClock()
    assert parse_clock(1.5) == FuelClock(1.5, rate=0)
    assert parse_clock(FuelClock(3)) == FuelClock(3)


def test_seeds_of_two_types_are_two_seeds() -> None:
    assert len({parse_seed(1), parse_seed("1"), parse_seed(b"1"), parse_seed(None)}) == 4
    wrongs: list[Any] = [1.5, True, []]
    for wrong in wrongs:
        with pytest.raises(ConfigurationError, match="seed"):
            parse_seed(wrong)


@pytest.mark.parametrize("rate", [0, 1])
def test_a_clock_that_is_slept_past_its_end_stands_there(rate: int) -> None:
    world = Environment(None, FuelClock(0, rate=rate))
    world.begin(lambda: 1 << 60)
    for _ in range(12):
        world.pass_time(1e9)
    assert world.now(0) == (1 << 63) - 1
    world.end()
    other = Environment(None, None)
    other.resume(world.state())
    assert other.now(0) == other.now(1) == (1 << 63) - 1


def test_a_forged_moment_of_the_monotonic_clock_stays_within_its_bits() -> None:
    world = Environment(None, None)
    world.resume(EnvironmentState(None, 0, None, 0, (1 << 63) - 1))
    assert world.now(1) == (1 << 63) - 1


def test_time_that_is_left_out_has_not_passed_for_the_guest() -> None:
    environment = Environment(None, None)
    before = environment.now(1)
    environment.leave_out(1_000.0)
    assert environment.now(1) < before - 900 * BILLION
    assert abs(environment.now(0) - time.time_ns()) < 100 * BILLION
