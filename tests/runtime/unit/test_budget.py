import pickle
from typing import Any

import pytest

from cloche.runtime.errors import BudgetSpent, ConfigurationError
from cloche.runtime.limits import Limits, SessionBudget, Spent
from cloche.runtime.result import Usage

SPENT = Spent(runs=2, fuel=100, time=1.5, output=10, calls=4)


def test_spent_adds_up() -> None:
    assert Spent().with_run().plus(Usage(5, 0.5, 1 << 20, 3, 2)) == Spent(1, 5, 0.5, 3, 2)
    assert SPENT.plus(Usage(None, 0.5, 0, 0, 0)) == SPENT._replace(time=2.0)


def test_a_budget_without_bounds_changes_nothing() -> None:
    limits = Limits()
    SessionBudget().check(SPENT)
    assert SessionBudget().within(limits, SPENT) is limits
    assert SessionBudget(runs=5).within(limits, SPENT) is limits


def test_a_run_gets_the_smaller_of_its_limits_and_what_is_left() -> None:
    budget = SessionBudget(fuel=1_100, time=4.0, output="1 KiB", calls=10)
    limits = budget.within(Limits(fuel=None, time=None, calls=None, output=100), SPENT)
    assert (limits.fuel, limits.time, limits.output, limits.calls) == (1_000, 2.5, 100, 6)
    assert budget.within(Limits(fuel=10, time=1, output=10, calls=1), SPENT) == Limits(
        fuel=10, time=1, output=10, calls=1
    )


@pytest.mark.parametrize(
    ("budget", "what"),
    [
        (SessionBudget(runs=2), "runs"),
        (SessionBudget(fuel=100), "fuel"),
        (SessionBudget(time=1.0), "time"),
        (SessionBudget(output=5), "output"),
    ],
)
def test_what_is_spent_is_named(budget: SessionBudget, what: str) -> None:
    with pytest.raises(BudgetSpent) as caught:
        budget.check(SPENT)
    error = caught.value
    assert (error.what, error.used, error.limit) == (what, getattr(SPENT, what), budget.as_dict()[what])
    assert str(error).endswith(f"give it a larger SessionBudget({what}=...), or begin a new session")


def test_without_calls_left_a_program_may_still_compute() -> None:
    budget = SessionBudget(calls=3)
    budget.check(SPENT)
    assert budget.within(Limits(), SPENT).calls == 0


@pytest.mark.parametrize(
    "bounds", [{"fuel": 0}, {"runs": -1}, {"time": 0}, {"output": "x"}, {"calls": 1.5}, {"runs": True}]
)
def test_what_is_no_budget_is_refused(bounds: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(bounds))):
        SessionBudget(**bounds)


def test_a_budget_is_a_value() -> None:
    budget = SessionBudget(fuel=5, time=1.0)
    assert pickle.loads(pickle.dumps(budget)) == budget  # noqa: S301
    assert budget.as_dict() == {"fuel": 5, "time": 1.0}
    assert hash(budget) == hash(SessionBudget(fuel=5, time=1.0))
