"""Limits as callers write them."""

import copy
import pickle
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import Limits

SIZES = ["memory", "output", "result", "argument", "file_bytes"]
COUNTS = ["fuel", "calls", "files", "message", "traceback", "pending"]
LIFTED = ["fuel", "time", "calls"]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64MiB", 64 << 20),
        (" 64 mib ", 64 << 20),
        ("1.5 GiB", 3 << 29),
        ("2000000", 2_000_000),
        ("2000000 bytes", 2_000_000),
        ("3 MB", 3_000_000),
        ("1024 KiB", 1 << 20),
        ("2048 kb", 2_048_000),
        ("0.25 GB", 250_000_000),
    ],
)
def test_sizes_as_text(text: str, size: int) -> None:
    assert Limits(memory=text).memory == size


@pytest.mark.parametrize("field", SIZES)
@pytest.mark.parametrize(
    "value",
    ["", "MiB", "1 PiB", "-1 MiB", "1e9", "1_000", "0x10", "1 MiB more", "٣ MiB", "9" * 19, "nan", -1, None, 1.5, True,
     [], b"1"],
)  # fmt: skip
def test_sizes_that_are_none(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Limits(**{field: value})
    assert caught.value.field == field
    assert field in str(caught.value)


@pytest.mark.parametrize("field", COUNTS)
@pytest.mark.parametrize("value", [-1, "5", 1.0, False, 1 << 70, [], float("inf")])
def test_counts_that_are_none(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Limits(**{field: value})
    assert caught.value.field == field
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", [0, -1, -0.0, float("nan"), float("inf"), 1e300, "5", True, []])
def test_times_that_are_none(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="time"):
        Limits(time=value)


@pytest.mark.parametrize("field", LIFTED)
def test_what_may_be_lifted(field: str) -> None:
    assert getattr(Limits(**{field: None}), field) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("field", [*SIZES, "files", "message", "traceback", "pending"])
def test_what_may_not_be_lifted(field: str) -> None:
    with pytest.raises(ConfigurationError):
        Limits(**{field: None})  # type: ignore[arg-type]


def test_no_memory_limit_reaches_the_engine_as_no_limit() -> None:
    # Wasmtime takes a negative or huge number for none.
    for value in (-1, 1 << 32, (1 << 63) - 1, 1 << 64):
        with pytest.raises(ConfigurationError):
            Limits(memory=value)
    assert Limits(memory=(1 << 32) - (1 << 16)).memory < 1 << 32


def test_limits_are_values() -> None:
    limits = Limits(fuel=5, time=1, output="1 KiB")
    assert limits == Limits(fuel=5, time=1.0, output=1024) == copy.deepcopy(limits)
    assert pickle.loads(pickle.dumps(limits)) == limits  # noqa: S301 - our own bytes
    assert hash(limits) == hash(Limits(fuel=5, time=1, output=1024))
    assert limits.replace(fuel=6).fuel == 6
    assert limits.replace(fuel=6).output == 1024
    with pytest.raises(AttributeError):
        limits.fuel = 7  # type: ignore[misc]
    with pytest.raises(ConfigurationError, match="output"):
        limits.replace(output="lots")
    with pytest.raises(TypeError):
        Limits(fule=5)  # type: ignore[call-arg]


@given(st.text(max_size=40))
def test_any_text_is_a_size_or_a_clear_error(text: str) -> None:
    with suppress(ConfigurationError):
        assert 0 <= Limits(output=text).output < 1 << 31


@given(st.integers() | st.floats() | st.none() | st.booleans())
def test_any_number_is_a_limit_or_a_clear_error(value: Any) -> None:
    for field in Limits.__dataclass_fields__:
        with suppress(ConfigurationError):
            assert getattr(Limits(**{field: value}), field) == value
