import argparse
from dataclasses import fields

import pytest

from cloche.cli.flags import add_limit_flags, limit_value, limits_from
from cloche.runtime.limits import LIMITS, Limits


def parsed(*words: str) -> Limits:
    parser = argparse.ArgumentParser()
    add_limit_flags(parser)
    return limits_from(parser.parse_args(words))


def test_without_flags_the_limits_are_the_defaults() -> None:
    assert parsed() == Limits()


def test_every_limit_has_a_flag() -> None:
    for field in fields(Limits):
        flag = f"--{field.name.replace('_', '-')}"
        minimum = LIMITS[field.name].minimum
        assert getattr(parsed(flag, str(minimum + 70)), field.name) == minimum + 70
    assert parsed("--memory", "2000000").memory == 2_000_000


def test_counts_sizes_and_seconds_as_people_write_them() -> None:
    limits = parsed("--fuel", "5e6", "--memory", "64 MiB", "--time", "2.5", "--calls", "1_000", "--output", "1_000")
    assert (limits.fuel, limits.memory, limits.time, limits.calls) == (5_000_000, 64 << 20, 2.5, 1_000)
    assert limits.output == 1_000


def test_none_lifts_what_may_be_lifted() -> None:
    limits = parsed("--fuel", "none", "--time", "off", "--calls", "unlimited")
    assert (limits.fuel, limits.time, limits.calls) == (None, None, None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fuel", "many"], "'many' is not a number"),
        (["--fuel", "1.5"], "not a whole number"),
        (["--fuel", "-1"], "not between"),
        (["--fuel", "inf"], "not a number"),
        (["--time", "0"], "not between 0"),
        (["--time", "nan"], "not a number"),
        (["--memory", "none"], "not a size"),
        (["--memory", "1 KiB"], "not between"),
        (["--memory", "64 apples"], "unknown unit 'apples'"),
        (["--output", "-5"], "not a size"),
    ],
)
def test_a_bad_limit_is_explained(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parsed(*words)
    assert stop.value.code == 2
    complaint = capsys.readouterr().err
    assert said in complaint
    assert words[0] in complaint


def test_an_unknown_limit_is_named() -> None:
    with pytest.raises(ValueError, match="no limit 'speed'; the limits are fuel, memory"):
        limit_value("speed", "1")
