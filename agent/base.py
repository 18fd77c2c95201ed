"""What every agent is: tools, prompts and memory, and the ways to run it: to the end, by steps, streamed, awaited."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, TypedDict, Unpack, overload

from cloche.agent.callbacks import CallbackTable
from cloche.agent.errors import AgentBusy
from cloche.agent.events import AgentEvent, RunEnded, RunResult, StepEnded
from cloche.agent.loop.effects import adrive, drive
from cloche.agent.loop.loop import run_loop
from cloche.agent.loop.run import CallReplies, CallReplyOptions, Run
from cloche.agent.memory import AgentMemory
from cloche.agent.messages import Image
from cloche.agent.models.base import Model
from cloche.agent.monitoring.terminal import outline, told_again
from cloche.agent.prompting import load_prompts, stubs
from cloche.agent.saving import agent_from_dict, agent_to_dict, load_folder, save_folder
from cloche.agent.settings import AgentOptions, Ledger, Observer, Settings
from cloche.agent.steps import ActionStep, FinalAnswerStep, TaskStep
from cloche.agent.toolset import FINAL_ANSWER, final_answer_tool, managed_tool, refusal_of
from cloche.host_tools import Tool, ToolLike, ToolRegistry
from cloche.host_tools.registry import registry_of
from cloche.runtime.errors import ConfigurationError

__all__ = ["AgentCore", "MultiStepAgent", "RunOptions", "Tools"]


Tools = Iterable[ToolLike] | Mapping[str, ToolLike]
"""What an agent takes as its tools: a list, a mapping by name, a registry, or GuardedTools with their policies."""


class AgentCore:
    """The parts of an agent. ``tools`` is its own registry, which holds final_answer and the managed agents too."""

    kind = ""
    memory: AgentMemory

    def __init__(self, tools: Tools = (), model: Model | None = None, **options: Unpack[AgentOptions]) -> None:
        if model is None:
            raise ConfigurationError("model", "an agent needs one, such as LiteLLMModel('openai/gpt-5-mini')")
        self.model = model
        self.settings = Settings(**options)
        self.prompts = load_prompts(self.kind, self.settings.prompts)
        self.callbacks = CallbackTable(self.settings.step_callbacks)
        self.memory = AgentMemory()
        self.managed_agents = _by_name(self.settings.managed_agents)
        self._run: Run | None = None
        self._prompt_version = -1
        self._own_final_answer: Tool | None = None
        self.tools = self._registry(tools)

    @property
    def name(self) -> str:
        """The agent's name; empty if it has none."""
        return self.settings.name

    @property
    def description(self) -> str:
        """What the agent is good for; empty if nobody said."""
        return self.settings.description

    @property
    def current_run(self) -> Run | None:
        """The run that is going on, if any."""
        return self._run

    def act(self, run: Run, step: ActionStep) -> Generator[Any, Any, None]:
        """Do what makes a step: subclasses say what. Yields events and effects."""
        raise NotImplementedError

    def go_on(self, run: Run, step: ActionStep) -> Generator[Any, Any, None]:
        """Go on with a step that waits for answers, which are the run's."""
        raise NotImplementedError

    def prepare(self, run: Run) -> None:
        """Get ready for a run; may block."""

    def save_state(self, folder: Path) -> None:
        """Write what belongs to the agent beside its memory into a folder; nothing where there is nothing."""

    def load_state(self, folder: Path) -> None:
        """Take what :meth:`save_state` wrote."""

    def give(self, variables: dict[str, Any]) -> None:
        """Take the variables of ``additional_args``."""

    def forget(self) -> None:
        """Forget all steps and variables: the next run begins anew."""
        self.memory.reset()

    def close(self) -> None:
        """Free what the agent holds. Safe to call twice."""

    def prompt_values(self) -> dict[str, Any]:
        """Return what the system prompt's template may use."""
        agents, instructions = sorted(self.managed_agents), self.settings.instructions
        return {"tools": self.tool_stubs(), "agents": agents, "instructions": instructions}

    def tool_stubs(self) -> str:
        """Return the tools as the model reads them."""
        return stubs(self.tools.specs())

    def refresh_prompt(self) -> None:
        """Write the system prompt again if the tools have changed since."""
        version = self.tools.version()
        if version != self._prompt_version:
            self.memory.system.prompt = self.prompts.render("system", **self.prompt_values())
            self._prompt_version = version

    def observers(self) -> list[Observer]:
        """Return who is told of its events: the observers of its settings, and the terminal if it is verbose."""
        return [*self.settings.observers, *_terminal(self.settings.verbosity)]

    def copy(self) -> Self:
        """Return an agent like this one, with a memory, session and registry of its own."""
        options: Any = {name: getattr(self.settings, name) for name in AgentOptions.__annotations__}
        return type(self)(self.own_tools(), self.model, **options, **self._own_arguments())

    def to_dict(self) -> dict[str, Any]:
        """Return the agent as data that JSON can hold; see :func:`cloche.agent.saving.agent_to_dict`."""
        return agent_to_dict(self)

    def save(self, folder: str | Path) -> None:
        """Write agent, prompts, memory and state to a folder, without model, keys and callbacks."""
        save_folder(self, folder)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Write the agent to a repository on the Hugging Face Hub and return the commit's id.

        See :func:`cloche.agent.hub.push_agent` for what it takes and raises.
        """
        # Imported here, as all that only some programs need.
        from cloche.agent.hub import push_agent

        return push_agent(self, repo_id, **options)

    def own_tools(self) -> dict[str, ToolLike]:
        """Return the tools it was given: without managed agents, and without final_answer unless that was given too."""
        taken = {FINAL_ANSWER, *self.managed_agents}
        given: dict[str, ToolLike] = {name: tool for name, tool in self.tools.items() if name not in taken}
        return given if self._own_final_answer is None else {**given, FINAL_ANSWER: self._own_final_answer}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{f' {self.name}' if self.name else ''}, {len(self.tools)} tools>"

    def _own_arguments(self) -> dict[str, Any]:
        return {}

    def _registry(self, tools: Tools) -> ToolRegistry:
        registry = tools.copy() if isinstance(tools, ToolRegistry) else registry_of(tools)
        self._own_final_answer = registry.get(FINAL_ANSWER)
        for name, agent in self.managed_agents.items():
            if name in registry:
                raise ConfigurationError("managed_agents", f"a tool is called {name!r} already: rename one of them")
            registry[name] = managed_tool(lambda: self._run, agent)
        settings = self.settings
        may_block = bool(settings.final_answer_checks) or self._own_final_answer is not None
        registry[FINAL_ANSWER] = final_answer_tool(
            settings.output_type, self._accept, self._own_final_answer, may_block
        )
        return registry

    def _accept(self, answer: Any) -> None:
        refusal = refusal_of(answer, list(self.settings.final_answer_checks), self.memory, self)
        if refusal is not None:
            raise refusal
        if self._run is not None:
            self._run.answers.append(answer)


def _by_name(agents: "Sequence[MultiStepAgent]") -> "dict[str, MultiStepAgent]":
    for agent in agents:
        if not agent.name or not agent.description:
            problem = f"{agent!r} needs a name and a description: its manager knows nothing else of it"
            raise ConfigurationError("managed_agents", problem)
    named = {agent.name: agent for agent in agents}
    if len(named) < len(agents):
        raise ConfigurationError("managed_agents", "two of them have the same name")
    return named


def _terminal(verbosity: int) -> list[Callable[..., Any]]:
    if verbosity <= 0:
        return []
    from cloche.agent.monitoring.terminal import TerminalLog

    return [TerminalLog(verbosity)]


class RunOptions(TypedDict, total=False):
    """What a run takes beside its task; see :meth:`MultiStepAgent.run`."""

    reset: bool
    images: Sequence[Any]
    additional_args: dict[str, Any] | None
    max_steps: int | None


@dataclass(frozen=True, slots=True)
class _Order:
    """One run as it was asked for; ``task`` is None to go on with the task there is."""

    task: str | None
    reset: bool = True
    images: Sequence[Any] = ()
    additional_args: dict[str, Any] | None = field(default=None)
    max_steps: int | None = None
    streamed: bool = False
    parent: Run | None = None
    replies: CallReplies = CallReplies.of()  # noqa: RUF009  (immutable)


class MultiStepAgent(AgentCore):
    """An agent that works in steps; CodeAgent and ToolCallingAgent say what a step is.

    ``agent.memory`` holds the steps of the latest run, or of the whole conversation with ``reset=False``. One run at a
    time: a second one raises AgentBusy. A run that ends with an error keeps its memory; :meth:`resume` goes on.
    """

    _stepping: Iterator[AgentEvent] | None = None

    @overload
    def run(self, task: str, *, stream: Literal[True], **options: Unpack[RunOptions]) -> Iterator[AgentEvent]: ...
    @overload
    def run(self, task: str, *, return_full_result: Literal[True], **options: Unpack[RunOptions]) -> RunResult: ...
    @overload
    def run(self, task: str, **options: Unpack[RunOptions]) -> Any: ...
    def run(
        self, task: str, *, stream: bool = False, return_full_result: bool = False, **options: Unpack[RunOptions]
    ) -> Any:
        """Work on a task and return the final answer.

        ``stream``  return an iterator of the run's events instead, the last one RunEnded. The run begins with the
        first event that is asked for; leaving the iteration ends it.
        ``return_full_result``  return a RunResult, and raise nothing that it holds as its error.
        ``reset``   False goes on with the memory, and with the state of the code, of the run before. Default True.
        ``images``  shown to the model with the task: bytes, paths, URLs or PIL images.
        ``additional_args``  variables that the agent gets, by name.
        ``max_steps``  replaces the agent's own for this run.

        Raises ModelError, BudgetExceeded (but after max_steps the model is asked once for an answer), AgentInterrupted,
        AgentBusy, or what an observer, a step callback or an additional argument causes.
        """
        events = self._events(_Order(task, streamed=stream, **options))
        return events if stream else _outcome(_last(events), return_full_result)

    async def arun(self, task: str, *, return_full_result: bool = False, **options: Unpack[RunOptions]) -> Any:
        """Like :meth:`run`, awaiting. Being cancelled ends the run, in the middle of a program too."""
        return _outcome(await _alast(self._aevents(_Order(task, **options))), return_full_result)

    async def astream(self, task: str, **options: Unpack[RunOptions]) -> AsyncGenerator[AgentEvent, None]:
        """Yield a run's events as they happen, RunEnded last. Leaving the iteration ends the run."""
        async with aclosing(self._aevents(_Order(task, streamed=True, **options))) as events:
            async for event in events:
                yield event

    def resume(
        self, *, max_steps: int | None = None, return_full_result: bool = False, **replies: Unpack[CallReplyOptions]
    ) -> Any:
        """Go on with the task of a run that was interrupted or ended by an error. Its budget begins anew.

        A run that ended with AgentSuspended, here or in the process that saved the agent, takes replies to its calls by
        their ids: ``approve`` are the calls to make now, ``deny`` has reasons why others are refused, ``values`` what
        they return, ``errors`` what they raise. Raises ConfigurationError for replies that nobody waits for, and
        AgentSuspended again while calls are left without a reply.
        """
        order = _Order(None, reset=False, max_steps=max_steps, replies=CallReplies.of(**replies))
        return _outcome(_last(self._events(order)), return_full_result)

    async def aresume(
        self, *, max_steps: int | None = None, return_full_result: bool = False, **replies: Unpack[CallReplyOptions]
    ) -> Any:
        """Like :meth:`resume`, awaiting."""
        order = _Order(None, reset=False, max_steps=max_steps, replies=CallReplies.of(**replies))
        return _outcome(await _alast(self._aevents(order)), return_full_result)

    async def work_for(self, parent: Run | None, task: str, variables: dict[str, Any]) -> RunResult:
        """Run for another agent: what is spent is booked on its run too, and its observers are told."""
        return await _alast(self._aevents(_Order(task, additional_args=variables, parent=parent)))

    def start(self, task: str, **options: Unpack[RunOptions]) -> None:
        """Begin a run that goes on only with :meth:`step`."""
        self._stepping = self._events(_Order(task, **options))

    def step(self) -> ActionStep | FinalAnswerStep:
        """Do one step of the run that :meth:`start` began and return it; the FinalAnswerStep is the run's end.

        Raises what :meth:`run` raises, and ConfigurationError where no run is left.
        """
        for event in self._stepping or ():
            if isinstance(event, StepEnded) and not event.step.is_final:
                return event.step
            if isinstance(event, RunEnded):
                self._stepping = None
                return FinalAnswerStep(answer=event.result.unwrap())
        raise ConfigurationError("step", "there is no run to go on with: call agent.start(task) first")

    def interrupt(self) -> bool:
        """Stop the run that is going on; it raises AgentInterrupted. Returns whether there was one. From any thread."""
        run = self._run
        if run is not None:
            run.interrupt()
        return run is not None

    @staticmethod
    def from_dict(data: Mapping[str, Any], model: Model, **options: Any) -> "MultiStepAgent":
        """Return the agent that ``to_dict`` described; see :func:`cloche.agent.saving.agent_from_dict`."""
        return agent_from_dict(data, model, **options)

    @staticmethod
    def load(folder: str | Path, model: Model, **options: Any) -> "MultiStepAgent":
        """Return the agent of a folder that ``save`` wrote; ``resume()`` or ``run(reset=False)`` goes on from there."""
        return load_folder(folder, model, **options)

    @staticmethod
    def from_hub(repo_id: str, model: Model, *, trust_remote_code: bool = False, **options: Any) -> "MultiStepAgent":
        """Return the agent of a repository on the Hugging Face Hub; its tools' code runs here if it is trusted.

        See :func:`cloche.agent.hub.pull_agent` for what it takes and raises.
        """
        from cloche.agent.hub import pull_agent

        return pull_agent(repo_id, model, trust_remote_code=trust_remote_code, **options)

    def replay(self, *, detailed: bool = False) -> str:
        """Print what happened, step by step, and return it; ``detailed`` shows what the model was shown each time."""
        text = told_again(self.memory, detailed=detailed)
        print(text)
        return text

    def visualize(self) -> str:
        """Print the agent, its tools and the agents it manages as a tree, and return it."""
        text = outline(self)
        print(text)
        return text

    def _events(self, order: _Order) -> Iterator[AgentEvent]:
        run, task = self._begin(order)
        try:
            yield from drive(run_loop(self, run, task))
        finally:
            self._end(run)

    async def _aevents(self, order: _Order) -> AsyncGenerator[AgentEvent, None]:
        run, task = self._begin(order)
        try:
            async with aclosing(adrive(run_loop(self, run, task))) as events:
                async for event in events:
                    yield event
        finally:
            self._end(run)

    def _begin(self, order: _Order) -> tuple[Run, str]:
        if self._run is not None:
            raise AgentBusy
        run = self._new_run(order)
        if order.reset:
            self.forget()
        run.first_step = len(self.memory.steps)
        task = self._take(order)
        self._run = run
        if order.parent is not None:
            order.parent.children.add(run)
        return run, task

    def _new_run(self, order: _Order) -> Run:
        parent = order.parent
        ledger = Ledger(self.settings.budget, None if parent is None else parent.ledger)
        steps = self.settings.max_steps if order.max_steps is None else order.max_steps
        inherited = [] if parent is None else [one for one in parent.observers if one not in self.settings.observers]
        run = Run(self.name, ledger, steps, [*self.observers(), *inherited], self._stop_working, parent)
        run.streamed, run.replies = order.streamed, order.replies
        return run

    def _take(self, order: _Order) -> str:
        if order.task is None:
            return next((step.task for step in reversed(self.memory.steps) if isinstance(step, TaskStep)), "")
        variables = order.additional_args or {}
        self.give(variables)
        task = f"{order.task}{_described(variables)}"
        self.memory.steps.append(TaskStep(task=task, images=[Image.load(image) for image in order.images]))
        return task

    def _end(self, run: Run) -> None:
        self._run = None
        if run.parent is not None:
            run.parent.children.discard(run)

    def _stop_working(self) -> None:
        """End what a step is doing right now; called from any thread when the run is interrupted."""


def _described(variables: dict[str, Any]) -> str:
    if not variables:
        return ""
    listed = "\n".join(f"- {name} ({type(value).__name__})" for name, value in variables.items())
    return f"\n\nThese variables are set for you:\n{listed}"


def _outcome(result: RunResult, full: bool) -> Any:
    return result if full else result.unwrap()


def _last(events: Iterator[AgentEvent]) -> RunResult:
    result: RunResult | None = None
    for event in events:
        if isinstance(event, RunEnded):
            result = event.result
    return _there(result)


async def _alast(events: AsyncIterator[AgentEvent]) -> RunResult:
    result: RunResult | None = None
    async for event in events:
        if isinstance(event, RunEnded):
            result = event.result
    return _there(result)


def _there(result: RunResult | None) -> RunResult:
    if result is None:
        raise RuntimeError("a run ended without its last event")
    return result
