"""How an agent behaves, what a run of it may spend, and the keywords for both: ours, and those of smolagents."""

import difflib
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypedDict

from cloche.agent.errors import (
    BudgetUnmeasured,
    CostExceeded,
    RunTimeExceeded,
    TokensExceeded,
    ToolCallsExceeded,
)
from cloche.agent.events import AgentEvent
from cloche.agent.messages import TokenUsage
from cloche.agent.prompting import PromptTemplates
from cloche.host_tools.names import check_name
from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import Limits

__all__ = [
    "AgentOptions",
    "Callbacks",
    "CodeKeywords",
    "GivenOptions",
    "Ledger",
    "ManagedAgent",
    "Observer",
    "RunBudget",
    "Settings",
    "default_limits",
    "named_as_here",
    "settings_of",
]


@dataclass(frozen=True, slots=True)
class RunBudget:
    """What one run may use, sub-agents included; None is no limit, which is the default of all but ``max_steps``.

    ``tokens``      of prompts and replies together.
    ``cost``        US dollars; the model has to know its price.
    ``seconds``     of wall time.
    ``tool_calls``  calls of tools, final_answer not counted.

    A model call under way when a budget runs out is still paid for; the next one is not made.
    """

    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None
    tool_calls: int | None = None

    def __post_init__(self) -> None:
        for name in ("tokens", "cost", "seconds", "tool_calls"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0):
                raise ConfigurationError(name, f"{value!r} is not an amount: give a number, or None for no limit")


class Ledger:
    """One run's account. What a sub-agent spends is booked on its parent's too. Safe to use from several threads."""

    def __init__(self, budget: RunBudget, parent: "Ledger | None" = None) -> None:
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
            raise BudgetUnmeasured("RunBudget(tokens=...) is set, but the model does not report its tokens")
        if self.budget.cost is not None and (usage is None or usage.cost is None):
            problem = "RunBudget(cost=...) is set, but the model's price is not known: pass its price to the model"
            raise BudgetUnmeasured(problem)


Callbacks = Sequence[Callable[..., Any]] | Mapping[type[Any], Callable[..., Any] | Sequence[Callable[..., Any]]]
"""Functions for action steps, or a mapping from a type of step to the function or functions for it."""

Observer = Callable[[AgentEvent], object]
"""Called with each event, on whichever thread it happens; what it raises ends the run."""


_STEP_SECONDS = 60.0
_STEP_SECONDS_WITH_AGENTS = 600.0


class ManagedAgent(Protocol):
    """An agent that another one may call, as every :class:`cloche.agent.MultiStepAgent` is."""

    settings: "Settings"

    @property
    def name(self) -> str:
        """The name it is called by."""
        ...

    @property
    def description(self) -> str:
        """What it is good for."""
        ...

    async def delegate(self, parent: Any, task: str, variables: dict[str, Any]) -> Any:
        """Work on a task for the run ``parent`` and return the answer."""
        ...


class AgentOptions(TypedDict, total=False):
    """The keywords that every agent takes; see :class:`Settings` for their meaning."""

    name: str
    description: str
    instructions: str
    max_steps: int
    planning_interval: int | None
    managed_agents: Sequence[ManagedAgent]
    step_callbacks: Callbacks
    final_answer_checks: Sequence[Callable[..., Any]]
    output_type: Any
    budget: RunBudget
    prompts: PromptTemplates | Mapping[str, Any] | str | Path | None
    observers: Sequence[Observer]
    verbosity: int
    observation_limit: int
    provide_run_summary: bool
    return_full_result: bool
    stream_outputs: bool


@dataclass(slots=True)
class Settings:
    """How an agent behaves.

    ``name``, ``description``   needed by an agent that another one manages: its name there, and what it is good for.
    ``instructions``            added to the system prompt.
    ``max_steps``               default 20; after them the model is asked once for an answer from what it has.
    ``planning_interval``       a plan is made before step 1 and before every so many steps; default: no plans.
    ``managed_agents``          agents that this one may call.
    ``step_callbacks``          called with ``(step)`` or ``(step, agent)`` after each step; they may change it.
    ``final_answer_checks``     called with ``(answer)``, ``(answer, memory)`` or ``(answer, memory, agent)``; False or
                                an exception refuses it, and the model reads why.
    ``output_type``             the answer's type, checked and converted by pydantic; default: anything.
    ``budget``                  default: no limits.
    ``prompts``                 templates, or a YAML file of them; default: the shipped ones.
    ``observers``               called with each event.
    ``verbosity``               -1 errors only and 0 nothing on the terminal (default 0), 1 each step, 2 everything.
    ``observation_limit``       characters of one observation that the model is shown; default 20,000.
    ``provide_run_summary``     whether a managed agent's answer comes with a summary of its work.
    ``return_full_result``      whether ``run`` returns a RunResult where it is not said otherwise.
    ``stream_outputs``          whether observers and terminal see the model's text as it is written, in ``run`` too.
    """

    name: str = ""
    description: str = ""
    instructions: str = ""
    max_steps: int = 20
    planning_interval: int | None = None
    managed_agents: Sequence[ManagedAgent] = ()
    step_callbacks: Callbacks = ()
    final_answer_checks: Sequence[Callable[..., Any]] = ()
    output_type: Any = None
    budget: RunBudget = field(default_factory=RunBudget)
    prompts: PromptTemplates | Mapping[str, Any] | str | Path | None = None
    observers: Sequence[Observer] = ()
    verbosity: int = 0
    observation_limit: int = 20_000
    provide_run_summary: bool = False
    return_full_result: bool = False
    stream_outputs: bool = False

    def __post_init__(self) -> None:
        kind = type(self.budget)
        if kind is not RunBudget:
            problem = f"{kind.__module__}.{kind.__name__} is not an agent's: use cloche.agent.RunBudget"
            raise ConfigurationError("budget", problem)
        if self.name:
            check_name(self.name)
        for name in ("max_steps", "observation_limit", "planning_interval"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise ConfigurationError(name, f"{value!r} must be an int >= 1")


def default_limits(*, manages: bool) -> Limits:
    """Return the default limits of one step; an agent that manages others waits for their work."""
    return Limits(time=_STEP_SECONDS_WITH_AGENTS if manages else _STEP_SECONDS)


class GivenOptions(AgentOptions, total=False):
    """The keywords of :class:`AgentOptions`, and smolagents' own.

    ``verbosity_level``, ``max_print_outputs_length`` and ``prompt_templates`` are other names. ``add_base_tools`` adds
    web search and page reading, and for a ToolCallingAgent an interpreter. The rest changes nothing here, and a warning
    says why.
    """

    verbosity_level: int
    max_print_outputs_length: int | None
    prompt_templates: PromptTemplates | Mapping[str, Any] | str | Path | None
    add_base_tools: bool
    executor: Any
    executor_type: Any
    executor_kwargs: Any
    logger: Any
    max_tool_threads: int | None
    use_structured_outputs_internally: bool


class CodeKeywords(GivenOptions, total=False):
    """The same, and smolagents' for agents that write code.

    ``additional_authorized_imports`` names modules that programs will import. All that the guest holds may be imported
    anyway, so that they are looked for only, and a warning names those that are not there. ``code_block_tags`` are
    ``tags``, or ``"markdown"``.
    """

    additional_authorized_imports: Iterable[str] | None
    code_block_tags: tuple[str, str] | str | None


_OTHER_NAMES = {
    "verbosity_level": "verbosity",
    "max_print_outputs_length": "observation_limit",
    "prompt_templates": "prompts",
}
_NOT_NEEDED = {
    "executor": "programs run in the agent's own sandbox: sandbox= makes another",
    "executor_type": "programs always run in a sandbox, inside this process",
    "executor_kwargs": "programs always run in a sandbox, inside this process",
    "logger": "pass observers=[...] to follow a run, and verbosity= to print it",
    "max_tool_threads": "up to 16 tools run at once",
    "use_structured_outputs_internally": "programs are found in whatever a model writes",
}


def named_as_here(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return keywords by the names they have here, without those that change nothing; these are warned about."""
    named = {_OTHER_NAMES.get(name, name): value for name, value in options.items() if name not in _NOT_NEEDED}
    if named.get("observation_limit", 1) is None:
        # smolagents' word for its default.
        del named["observation_limit"]
    for name in options:
        if name in _NOT_NEEDED and options[name]:
            warnings.warn(f"{name}= is not needed: {_NOT_NEEDED[name]}", stacklevel=5)
    return named


def settings_of(options: Mapping[str, Any], others: Iterable[str] = ()) -> Settings:
    """Return the settings of an agent's keywords. Raises TypeError for an unknown one, naming the nearest of all."""
    named = named_as_here(options)
    known = [*AgentOptions.__annotations__, *others]
    for name in named:
        if name not in AgentOptions.__annotations__:
            near = difflib.get_close_matches(name, known, 1)
            raise TypeError(f"there is no keyword {name!r}{f': did you mean {near[0]!r}?' if near else ''}")
    return Settings(**named)
