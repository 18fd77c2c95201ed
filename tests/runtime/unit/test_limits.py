"""One table says what each limit is; everything else has to follow it."""

from dataclasses import fields
from inspect import signature
from typing import Any

import pytest
import wasmtime
from tests.runtime.checked import to_wasmtime

from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import LIMITS, METERINGS, LimitChanges, Limits, Metering
from cloche.runtime.wasm.engine import Engine


def test_the_table_names_every_limit_and_no_other() -> None:
    assert list(LIMITS) == [field.name for field in fields(Limits)]
    assert set(LIMITS) == set(LimitChanges.__annotations__)
    assert set(LIMITS) == set(signature(Limits).parameters)
    assert all(f"``{name}``" in (Limits.__doc__ or "") for name in LIMITS)


def limits(**values: Any) -> Limits:
    return Limits(**values)


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_keeps_to_its_row(name: str) -> None:
    row = LIMITS[name]
    minimum = row.minimum or (1 if row.kind == "seconds" else 0)
    for value in (minimum, row.maximum):
        assert getattr(limits(**{name: value}), name) == value
    wrong: object
    for wrong in (row.minimum - 1, row.maximum + 1, "many", [], True):
        with pytest.raises(ConfigurationError, match=name):
            limits(**{name: wrong})
    if row.liftable:
        assert getattr(limits(**{name: None}), name) is None
    else:
        with pytest.raises(ConfigurationError, match=name):
            limits(**{name: None})


def test_the_guest_applies_the_caps_that_the_table_gives_it() -> None:
    caps = Limits(files=7, file_bytes=8, message=70, traceback=71, result=72, argument=73, displays=74).guest_caps()
    assert caps == {
        "files": 7,
        "bytes": 8,
        "message": 70,
        "traceback": 71,
        "result": 72,
        "argument": 73,
        "displays": 74,
    }


@pytest.mark.parametrize("name", METERINGS)
def test_an_engine_does_what_its_metering_says(name: Metering) -> None:
    engine, mode = Engine.shared(name), METERINGS[name]
    assert engine.mode is mode
    store = wasmtime.Store(to_wasmtime(engine))
    # Charges of our own need no engine that counts.
    if mode.counts_fuel and not mode.charges:
        store.set_fuel(5)
        assert store.get_fuel() == 5
    else:
        with pytest.raises(wasmtime.WasmtimeError):
            store.set_fuel(5)


def test_metering_that_is_none_of_them_is_refused() -> None:
    wrong: Any = "guess"
    with pytest.raises(ConfigurationError, match="'guess' is not a metering: write fuel or engine or epoch or none"):
        Engine(wrong)
