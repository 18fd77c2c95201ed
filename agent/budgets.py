"""What a run may spend, and what it has spent."""

import threading
import time
from dataclasses import dataclass

from cloche.agent.errors import (
    BudgetUnmeasured,
    CostExceeded,
    RunTimeExceeded,
    TokensExceeded,
    ToolCallsExceeded,
)
from cloche.agent.messages import TokenUsage
from cloche.runtime.errors import ConfigurationError

__all__ = ["Budget", "Ledger"]


@dataclass(frozen=True, slots=True)
class Budget:
    """What one run may use, sub-agents included; None is no limit, which is the default of all but ``max_steps``.

    ``tokens``      of prompts and replies together.
    ``cost``        US dollars; the model has to know its price.
    ``seconds``     of wall time.
    ``tool_calls``  calls of tools, final_answer not counted.

    A model call that is under way when a budget runs out is paid for: the next one is not made.
    """

    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None
    tool_calls: int | None = None

    def __post_init__(self) -> None:
        for name in ("tokens", "cost", "seconds", "tool_calls"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0):
                raise ConfigurationError(name, f"{value!r} is no amount: give a number, or None for no limit")


class Ledger:
    """One run's account. What a sub-agent spends is booked on its parent's too. Safe to use from several threads."""

    def __init__(self, budget: Budget, parent: "Ledger | None" = None) -> None:
        self.budget = budget
        self.parent = parent
        self.usage = TokenUsage()
        self.tool_calls = 0
        self.started = time.perf_counter()
        self._lock = threading.Lock()

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self.started

    def spend(self, usage: TokenUsage | None) -> None:
        """Book a model call. Raises BudgetUnmeasured if a budget counts what the model does not report."""
        self._check_measured(usage)
        if usage is not None:
            with self._lock:
                self.usage += usage
        if self.parent is not None:
            self.parent.spend(usage)

    def call(self, count: int) -> None:
        """Book tool calls."""
        with self._lock:
            self.tool_calls += count
        if self.parent is not None:
            self.parent.call(count)

    def check(self) -> None:
        """Raise the BudgetExceeded of whatever has been used up, here or by the agents above."""
        budget, cost = self.budget, self.usage.cost or 0.0
        if budget.tokens is not None and self.usage.total >= budget.tokens:
            raise TokensExceeded(self.usage.total, budget.tokens)
        if budget.cost is not None and cost >= budget.cost:
            raise CostExceeded(cost, budget.cost)
        if budget.seconds is not None and self.seconds >= budget.seconds:
            raise RunTimeExceeded(self.seconds, budget.seconds)
        if budget.tool_calls is not None and self.tool_calls > budget.tool_calls:
            raise ToolCallsExceeded(self.tool_calls, budget.tool_calls)
        if self.parent is not None:
            self.parent.check()

    def seconds_left(self) -> float | None:
        """Return how long the run may still take; None if nothing limits it."""
        above = None if self.parent is None else self.parent.seconds_left()
        own = None if self.budget.seconds is None else self.budget.seconds - self.seconds
        return min((left for left in (own, above) if left is not None), default=None)

    def _check_measured(self, usage: TokenUsage | None) -> None:
        if usage is None and self.budget.tokens is not None:
            raise BudgetUnmeasured("Budget(tokens=...) is set, but the model does not report its tokens")
        if self.budget.cost is not None and (usage is None or usage.cost is None):
            problem = "Budget(cost=...) is set, but the model's price is not known: pass its price to the model"
            raise BudgetUnmeasured(problem)
