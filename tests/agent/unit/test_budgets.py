"""What a run may spend."""

from typing import Any

import pytest

from cloche.agent.errors import (
    BudgetExceeded,
    BudgetUnmeasured,
    CostExceeded,
    RunTimeExceeded,
    TokensExceeded,
    ToolCallsExceeded,
)
from cloche.agent.messages import TokenUsage
from cloche.agent.settings import Ledger, RunBudget
from cloche.runtime.errors import ConfigurationError


def spent(budget: RunBudget, usage: TokenUsage) -> Ledger:
    ledger = Ledger(budget)
    ledger.spend(usage)
    return ledger


@pytest.mark.parametrize(
    ("budget", "error"),
    [
        (RunBudget(tokens=150), TokensExceeded),
        (RunBudget(cost=0.5), CostExceeded),
        (RunBudget(seconds=0), RunTimeExceeded),
        (RunBudget(tool_calls=2), ToolCallsExceeded),
    ],
)
def test_each_budget_has_its_error_with_numbers(budget: RunBudget, error: type[BudgetExceeded]) -> None:
    ledger = spent(budget, TokenUsage(input_tokens=100, output_tokens=50, cost=0.5))
    ledger.call(3)
    with pytest.raises(error) as caught:
        ledger.check()
    assert caught.value.used >= caught.value.limit
    assert "budget" in str(caught.value)


def test_within_the_budget_nothing_is_raised() -> None:
    ledger = spent(RunBudget(tokens=151, cost=1, seconds=60, tool_calls=2), TokenUsage(input_tokens=150, cost=0.1))
    ledger.call(2)
    ledger.check()


def test_what_a_managed_agent_spends_counts_for_its_manager() -> None:
    above = Ledger(RunBudget(tokens=100))
    below = Ledger(RunBudget(), above)
    below.spend(TokenUsage(input_tokens=100))
    assert above.usage.total == 100
    with pytest.raises(TokensExceeded):
        below.check()


def test_the_least_of_all_budgets_is_what_is_left() -> None:
    above = Ledger(RunBudget(seconds=60))
    below = Ledger(RunBudget(seconds=1000), above)
    left = below.seconds_left()
    assert left is not None
    assert 0 < left <= 60
    assert Ledger(RunBudget()).seconds_left() is None


def test_a_budget_that_cannot_be_measured_is_no_advice_but_an_error() -> None:
    with pytest.raises(BudgetUnmeasured, match="price"):
        Ledger(RunBudget(cost=1)).spend(TokenUsage(input_tokens=5))
    with pytest.raises(BudgetUnmeasured, match="tokens"):
        Ledger(RunBudget(tokens=1)).spend(None)


@pytest.mark.parametrize("value", [-1, "many", True, float("nan")])
def test_amounts_that_are_none_are_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="cost"):
        RunBudget(cost=value)
