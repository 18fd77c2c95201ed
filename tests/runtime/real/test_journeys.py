"""How much code a run, a call, a snapshot and a restore may cross: the table is in tests/journeys.py."""

import pytest
from tests.journeys import check, journeys

NAMES = ("run", "run with tools", "tool call", "snapshot", "restore")


@pytest.fixture(scope="module")
def taken() -> dict[str, tuple[int, list[str]]]:
    return journeys(*NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_journey_stays_short(name: str, taken: dict[str, tuple[int, list[str]]]) -> None:
    check(name, taken[name])
