"""What every agent is: tools, prompts and memory, and the ways to run it: to the end, by steps, streamed, awaited."""

import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypedDict, Unpack, cast, overload

from cloche.agent.callbacks import CallbackTable
from cloche.agent.errors import AgentBusy
from cloche.agent.events import AgentEvent, RunEnded, RunResult, StepEnded
from cloche.agent.loop.effects import CallFunction, adrive, drive
from cloche.agent.loop.loop import run_loop
from cloche.agent.loop.run import CallReplies, CallReplyOptions, Run
from cloche.agent.memory import AgentMemory
from cloche.agent.messages import ImagePart, Message
from cloche.agent.models.base import AnyModel, warm_up
from cloche.agent.models.named import as_model
from cloche.agent.prompting import PromptTemplates, stubs
from cloche.agent.saving import agent_from_dict, agent_to_dict, load_folder, save_folder
from cloche.agent.settings import AgentOptions, GivenOptions, Ledger, Observer, settings_of
from cloche.agent.steps import ActionStep, FinalAnswerStep, TaskStep
from cloche.agent.templates import TemplateNames, ToolText, prompts_of
from cloche.agent.toolset import FINAL_ANSWER, Team, base_tools, final_answer_tool, guard_of, refusal_of, reported
from cloche.host_tools import Tool, ToolLike, ToolRegistry
from cloche.host_tools.handles import Handles
from cloche.host_tools.policy.guarded import GuardedTools
from cloche.host_tools.registry import registry_of
from cloche.runtime.errors import ConfigurationError

__all__ = ["MultiStepAgent", "RunOptions", "Tools"]

Tools = Iterable[ToolLike] | Mapping[str, ToolLike]
"""What an agent takes as its tools: a list, a mapping by name, a registry, or GuardedTools with their policies."""


class RunOptions(TypedDict, total=False):
    """What a run takes beside its task; see :meth:`MultiStepAgent.run`."""

    reset: bool
    images: Sequence[Any]
    additional_args: dict[str, Any] | None
    max_steps: int | None


@dataclass(frozen=True, slots=True)
class _RunRequest:
    """One run as it was asked for; ``task`` is None to continue the latest task."""

    task: str | None
    reset: bool = True
    images: Sequence[Any] = ()
    additional_args: dict[str, Any] | None = None
    max_steps: int | None = None
    streamed: bool = False
    parent: Run | None = None
    asked: str = ""
    replies: CallReplies = CallReplies.of()  # noqa: RUF009  (immutable)
    may_wait: bool = True


class MultiStepAgent:
    """An agent that works in steps; CodeAgent and ToolCallingAgent say what a step is.

    ``agent.tools`` is its own registry, which holds final_answer and the managed agents too. ``agent.memory`` holds the
    steps of the latest run, or of the whole conversation with ``reset=False``. One run at a time: a second one raises
    AgentBusy. A run that ends with an error keeps its memory, and :meth:`resume` continues it.
    """

    kind = ""
    own_keywords: tuple[str, ...] = ()
    memory: AgentMemory

    def __init__(self, tools: Tools = (), model: AnyModel | str | None = None, **options: Unpack[GivenOptions]) -> None:
        self.model = as_model(model)
        base = options.pop("add_base_tools", False)
        self.settings = settings_of(options, ("tools", "model", *self.own_keywords))
        self.prompts = prompts_of(self.kind, self.settings.prompts)
        self._has_own_prompts = self.settings.prompts is not None
        self.callbacks = CallbackTable(self.settings.step_callbacks)
        self.memory = AgentMemory()
        self._team = Team(lambda: self._run, self._team_changed)
        self._team.join(self.settings.managed_agents)
        self._run: Run | None = None
        self._events_by_step: Iterator[AgentEvent] = iter(())
        self._prompt_version: tuple[Any, ...] = ()
        self._own_final_answer: Tool | None = None
        self._answers_by_hand: list[Any] = []
        self.tools = self._registry(tools, base_tools(self.kind) if base else {})
        # What it loads, for seconds, it may as well begin to load now.
        warm_up(self.model)

    @property
    def name(self) -> str:
        """The agent's name; empty if it has none."""
        return self.settings.name

    @property
    def description(self) -> str:
        """What the agent is good for; empty if it was not given."""
        return self.settings.description

    @property
    def managed_agents(self) -> "MutableMapping[str, MultiStepAgent]":
        """The agents that this one may call, by name. Adding and removing them counts from the next step."""
        return cast("MutableMapping[str, MultiStepAgent]", self._team)

    @property
    def prompt_templates(self) -> TemplateNames:
        """The templates by name, to read and to set: ``agent.prompt_templates["system_prompt"] += "..."``."""

        def replace(prompts: PromptTemplates) -> None:
            self.prompts, self._prompt_version, self._has_own_prompts = prompts, (), True

        return TemplateNames(lambda: self.prompts, replace)

    @property
    def system_prompt(self) -> str:
        """The system prompt as the model gets it now."""
        self.refresh_prompt()
        return self.memory.system.prompt

    @property
    def current_run(self) -> Run | None:
        """The run under way, if any."""
        return self._run

    # What a kind of agent fills in.

    def act(self, run: Run, step: ActionStep) -> Generator[Any, Any, None]:
        """Do what makes up a step. Yields events and effects."""
        raise NotImplementedError

    def continue_step(self, run: Run, step: ActionStep) -> Generator[Any, Any, None]:
        """Continue a step that was suspended, with the run's replies to its calls."""
        raise NotImplementedError

    def prepare(self, run: Run) -> None:
        """Get ready for a run; may block."""

    def set_variables(self, variables: dict[str, Any]) -> None:
        """Take the variables of ``additional_args``."""

    def reset(self) -> None:
        """Forget all steps and variables, so that the next run starts afresh."""
        self.memory.reset()
        if self.tools.handles is not None and self.tools.handles.objects:
            self.tools.handles.clear()

    def shown(self, value: Any) -> Any:
        """Return what programs get for a value: handles for what in it cannot leave the host."""
        return value if self.tools.handles is None else self.tools.handles.shown(value)

    def image_of(self, handle: str) -> ImagePart | None:
        """Return the image with this handle, if there is one."""
        found = None if self.tools.handles is None else self.tools.handles.get(handle)
        return None if found is None else ImagePart.load(found)

    def close(self) -> None:
        """Free what the agent holds. Safe to call twice."""

    def own_settings(self) -> dict[str, Any]:
        """Return the settings that only this kind of agent has, as keywords of its class."""
        return {}

    def saved_settings(self) -> dict[str, Any]:
        """Return those of :meth:`own_settings` that JSON can hold, as plain data."""
        return {}

    @classmethod
    def restored_settings(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return keywords of this class from what :meth:`saved_settings` returned."""
        return {}

    def save_state(self, folder: Path) -> None:
        """Write what the agent has beside its memory to a folder; nothing if there is nothing."""

    def load_state(self, folder: Path) -> None:
        """Take what :meth:`save_state` wrote."""

    # Prompts and tools.

    def prompt_values(self) -> dict[str, Any]:
        """Return what the system prompt's template may use."""
        agents, instructions = sorted(self.managed_agents), self.settings.instructions
        values: dict[str, Any] = {"tools": self.tool_stubs(), "names": list(self.tools)}
        values |= {"agents": agents, "instructions": instructions}
        if not self._has_own_prompts:
            return values
        # What templates of smolagents' kind use.
        values["tools"] = ToolText.of(self.tool_stubs(), self.tools, self.managed_agents)
        return {**values, "managed_agents": dict(self.managed_agents), "custom_instructions": instructions}

    def tool_stubs(self) -> str:
        """Return the tools as the model reads them."""
        return stubs(self.tools.specs())

    def prompt_depends_on(self) -> tuple[Any, ...]:
        """Return what the system prompt depends on beside the tools and what never changes."""
        return ()

    def refresh_prompt(self) -> None:
        """Render the system prompt again if the tools have changed since, or what else it depends on."""
        version = (self.tools.version(), *self.prompt_depends_on())
        if version != self._prompt_version:
            self.memory.system.prompt = self.prompts.render("system", **self.prompt_values())
            self._prompt_version = version

    def given_tools(self) -> dict[str, ToolLike]:
        """Return the tools it was given: without managed agents, and without final_answer unless that was given too."""
        added = {FINAL_ANSWER, *self.managed_agents}
        given: dict[str, ToolLike] = {name: tool for name, tool in self.tools.items() if name not in added}
        return given if self._own_final_answer is None else {**given, FINAL_ANSWER: self._own_final_answer}

    def observers(self) -> list[Observer]:
        """Return the observers of its events: those of its settings, and the terminal if it is verbose."""
        if self.settings.verbosity <= 0:
            return list(self.settings.observers)
        # Imported here: it needs rich.
        from cloche.agent.monitoring.terminal import TerminalLog

        return [*self.settings.observers, TerminalLog(self.settings.verbosity)]

    # Running.

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

        ``stream``  return an iterator of the run's events instead, the last one RunEnded. The run begins when the first
        event is asked for; leaving the iteration ends it.
        ``return_full_result``  return a RunResult, and do not raise the error in it.
        ``reset``   False keeps the memory, and the state of the code, of the run before. Default True.
        ``images``  shown to the model with the task: bytes, paths, URLs or PIL images.
        ``additional_args``  variables that the agent gets, by name.
        ``max_steps``  replaces the agent's own for this run.

        Raises ModelError, BudgetExceeded (but after max_steps the model is asked once for an answer), AgentInterrupted,
        AgentBusy, or what an observer, a step callback or an additional argument causes.
        """
        streamed = stream or self.settings.stream_outputs
        events = self._events(_RunRequest(task, streamed=streamed, **options))
        return events if stream else _outcome(_last(events), return_full_result or self.settings.return_full_result)

    async def arun(self, task: str, *, return_full_result: bool = False, **options: Unpack[RunOptions]) -> Any:
        """Like :meth:`run`, awaiting. Being cancelled ends the run, in the middle of a program too."""
        request = _RunRequest(task, streamed=self.settings.stream_outputs, **options)
        full = return_full_result or self.settings.return_full_result
        return _outcome(await _alast(self._aevents(request)), full)

    async def astream(self, task: str, **options: Unpack[RunOptions]) -> AsyncGenerator[AgentEvent, None]:
        """Yield a run's events as they happen, RunEnded last. Leaving the iteration ends the run."""
        async with aclosing(self._aevents(_RunRequest(task, streamed=True, **options))) as events:
            async for event in events:
                yield event

    def resume(
        self, *, max_steps: int | None = None, return_full_result: bool = False, **replies: Unpack[CallReplyOptions]
    ) -> Any:
        """Continue the task of a run that was interrupted or ended by an error. Its budget starts afresh.

        A run that ended with AgentSuspended, here or in the process that saved the agent, takes replies to its calls by
        their ids: ``approve`` lists the calls to make now, or maps them to arguments by name that replace the
        program's; ``deny`` has reasons why others are refused, ``values`` what they return, ``errors`` what they raise.
        Raises ConfigurationError for replies to calls that are not pending, and AgentSuspended again while calls are
        left without a reply.
        """
        request = self._resumed(max_steps, replies)
        return _outcome(_last(self._events(request)), return_full_result)

    async def aresume(
        self, *, max_steps: int | None = None, return_full_result: bool = False, **replies: Unpack[CallReplyOptions]
    ) -> Any:
        """Like :meth:`resume`, awaiting."""
        request = self._resumed(max_steps, replies)
        return _outcome(await _alast(self._aevents(request)), return_full_result)

    def _resumed(self, max_steps: int | None, replies: CallReplyOptions) -> _RunRequest:
        streamed, given = self.settings.stream_outputs, CallReplies.of(**replies)
        return _RunRequest(None, reset=False, max_steps=max_steps, streamed=streamed, replies=given)

    def start(self, task: str, **options: Unpack[RunOptions]) -> None:
        """Begin a run that only :meth:`step` advances."""
        self._events_by_step = self._events(_RunRequest(task, **options))

    @overload
    def step(self) -> ActionStep | FinalAnswerStep: ...
    @overload
    def step(self, memory_step: ActionStep, /) -> Any: ...
    def step(self, *memory_step: ActionStep) -> Any:
        """Do one step of the run that :meth:`start` began and return it; the FinalAnswerStep is the run's end.

        Given an ActionStep of your own, it does that step on the memory as it is, fills it in, and returns the final
        answer, or None if there is none yet. The step is not added to the memory, and no callbacks are called.

        Raises what :meth:`run` raises, and ConfigurationError where no run is left.
        """
        if memory_step:
            return self._step_by_hand(*memory_step)
        for event in self._events_by_step:
            if isinstance(event, StepEnded) and not event.step.is_final:
                return event.step
            if isinstance(event, RunEnded):
                self._events_by_step = iter(())
                return FinalAnswerStep(answer=event.result.unwrap())
        raise ConfigurationError("step", "no run is under way: call agent.start(task) first")

    def write_memory_to_messages(self, *, summary_mode: bool = False) -> list[Message]:
        """Return the messages that the model is shown."""
        self.refresh_prompt()
        return self.memory.messages(summary=summary_mode)

    def interrupt(self) -> bool:
        """Stop the run under way, which raises AgentInterrupted. Returns whether there was one. From any thread."""
        run = self._run
        if run is not None:
            run.interrupt()
        return run is not None

    async def delegate(self, parent: Run | None, task: str, variables: dict[str, Any]) -> Any:
        """Work on a task for another agent and return the answer; raises what the run raises.

        A copy does the work, so that several calls may run at the same time; the memory of the latest one to end is
        then this agent's. What it spends is booked on the parent's run too, whose observers see its events.
        """
        twin = self.copy()
        try:
            result = await twin.work_for(parent, task, variables)
        finally:
            self.memory = twin.memory
            twin.close()
        return reported(self, result.unwrap(), self.memory)

    async def work_for(
        self,
        parent: Run | None,
        task: str,
        variables: dict[str, Any] | None = None,
        *,
        may_wait: bool = False,
        replies: CallReplies | None = None,
    ) -> RunResult:
        """Work on a task for another agent, or continue with replies to the calls that waited, and return the result.

        With ``may_wait`` its calls may wait for a person, and the result's error is then AgentSuspended.
        """
        streamed = self.settings.stream_outputs or (parent is not None and parent.streamed)
        own: dict[str, Any] = {"parent": parent, "asked": task, "streamed": streamed, "may_wait": may_wait}
        if replies is None:
            text = self.prompts.render("managed_task", name=self.name, task=task)
            request = _RunRequest(text, additional_args=variables, **own)
        else:
            request = _RunRequest(None, reset=False, replies=replies, **own)
        return await _alast(self._aevents(request))

    # Copies, files, the Hub.

    def copy(self) -> Self:
        """Return an agent like this one, with a memory, session and registry of its own."""
        options: Any = {name: getattr(self.settings, name) for name in AgentOptions.__annotations__}
        options |= {
            "managed_agents": list(self._team.values()),
            "prompts": self.prompts if self._has_own_prompts else None,
        }
        twin = type(self)(self.given_tools(), self.model, **options, **self.own_settings())
        twin._guard = self._guard
        return twin

    def to_dict(self) -> dict[str, Any]:
        """Return the agent as data that JSON can hold; see :func:`cloche.agent.saving.agent_to_dict`."""
        return agent_to_dict(self)

    @staticmethod
    def from_dict(data: Mapping[str, Any], model: AnyModel, **options: Any) -> "MultiStepAgent":
        """Return the agent that ``to_dict`` described; see :func:`cloche.agent.saving.agent_from_dict`."""
        return cast("MultiStepAgent", agent_from_dict(data, model, **options))

    def save(self, folder: str | Path) -> None:
        """Write agent, prompts, memory and state to a folder, without model, keys and callbacks."""
        save_folder(self, folder)

    @staticmethod
    def load(folder: str | Path, model: AnyModel, **options: Any) -> "MultiStepAgent":
        """Return the agent of a folder that ``save`` wrote; ``resume()`` or ``run(reset=False)`` continues its work."""
        return cast("MultiStepAgent", load_folder(folder, model, **options))

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Write the agent to a repository on the Hugging Face Hub and return the commit's id.

        See :func:`cloche.agent.hub.push_agent` for what it takes and raises.
        """
        # Imported here, as all that only some programs need.
        from cloche.agent.hub import push_agent

        return push_agent(self, repo_id, **options)

    @staticmethod
    def from_hub(
        repo_id: str, model: AnyModel | str | None = None, *, trust_remote_code: bool = False, **options: Any
    ) -> "MultiStepAgent":
        """Return the agent of a repository on the Hugging Face Hub; its tools' code runs here if it is trusted.

        See :func:`cloche.agent.hub.pull_agent` for what it takes and raises.
        """
        from cloche.agent.hub import pull_agent

        return cast("MultiStepAgent", pull_agent(repo_id, model, trust_remote_code=trust_remote_code, **options))

    # On the terminal.

    def replay(self, *, detailed: bool = False) -> str:
        """Print what happened, step by step, and return it; ``detailed`` adds what the model was shown each time."""
        from cloche.agent.monitoring.terminal import replayed

        text = replayed(self.memory, detailed=detailed)
        print(text)
        return text

    def visualize(self) -> str:
        """Print the agent, its tools and the agents it manages as a tree, and return it."""
        from cloche.agent.monitoring.terminal import outline

        text = outline(self)
        print(text)
        return text

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{f' {self.name}' if self.name else ''}, {len(self.tools)} tools>"

    def _events(self, request: _RunRequest) -> Iterator[AgentEvent]:
        run, task = self._begin(request)
        try:
            yield from drive(run_loop(self, run, task))
        finally:
            self._end(run)

    async def _aevents(self, request: _RunRequest) -> AsyncGenerator[AgentEvent, None]:
        run, task = self._begin(request)
        try:
            async with aclosing(adrive(run_loop(self, run, task))) as events:
                async for event in events:
                    yield event
        finally:
            self._end(run)

    def _step_by_hand(self, step: ActionStep) -> Any:
        if self._run is not None:
            raise AgentBusy
        run = self._run = self._new_run(_RunRequest(None, reset=False))
        run.step = step.number
        try:
            for _ in drive(self._acts(run, step)):
                pass
        finally:
            self._end(run)
        step.is_final = bool(run.answers)
        return run.answers[0] if run.answers else None

    def _acts(self, run: Run, step: ActionStep) -> Generator[Any, Any, None]:
        started = time.perf_counter()
        yield CallFunction(lambda: self.prepare(run))
        self.refresh_prompt()
        yield from self.act(run, step)
        step.seconds += time.perf_counter() - started

    def _team_changed(self) -> None:
        """Agents were added or removed."""

    def _begin(self, request: _RunRequest) -> tuple[Run, str]:
        if self._run is not None:
            raise AgentBusy
        run = self._new_run(request)
        if request.reset:
            self.reset()
        run.first_step = len(self.memory.steps)
        task = self._begin_task(request)
        self._run = run
        if request.parent is not None:
            request.parent.children.add(run)
        return run, task

    def _new_run(self, request: _RunRequest) -> Run:
        parent = request.parent
        ledger = Ledger(self.settings.budget, None if parent is None else parent.ledger)
        max_steps = self.settings.max_steps if request.max_steps is None else request.max_steps
        inherited = [] if parent is None else [one for one in parent.observers if one not in self.settings.observers]
        run = Run(self.name, ledger, max_steps, [*self.observers(), *inherited], self._stop_working, parent)
        run.streamed, run.replies, run.request = request.streamed, request.replies, request.asked
        run.may_wait = request.may_wait
        return run

    def _begin_task(self, request: _RunRequest) -> str:
        if request.task is None:
            return self.memory.task
        variables = request.additional_args or {}
        if clash := sorted(variables.keys() & set(self.tools)):
            problem = f"{clash[0]!r} is the name of a tool, which programs could then not call: rename it"
            raise ConfigurationError("additional_args", problem)
        if request.parent is not None:
            # What a manager hands on may be anything that its tools gave it.
            variables = {name: self.shown(value) for name, value in variables.items()}
        self.set_variables(variables)
        task = f"{request.task}{_listing(variables)}"
        self.memory.steps.append(TaskStep(task=task, images=[ImagePart.load(image) for image in request.images]))
        return task

    def _end(self, run: Run) -> None:
        self._run = None
        if run.parent is not None:
            run.parent.children.discard(run)

    def _stop_working(self) -> None:
        """End what a step is doing right now; called from any thread when the run is interrupted."""

    def _registry(self, tools: Tools, more: Mapping[str, Tool]) -> ToolRegistry:
        registry = tools.copy() if isinstance(tools, ToolRegistry) else registry_of(tools)
        self._guard = guard_of(tools) if isinstance(tools, GuardedTools) else guard_of(registry)
        for name in more.keys() - registry.keys():
            registry[name] = more[name] if self._guard is None else self._guard.adopt(name, more[name], replaces=False)
        self._own_final_answer = registry.get(FINAL_ANSWER)
        self._team.register(registry)
        registry[FINAL_ANSWER] = self._final_answer(self._own_final_answer)
        registry.adopt = self._adopt
        registry.handles = Handles()
        return registry

    def _final_answer(self, own: Tool | None) -> Tool:
        may_block = bool(self.settings.final_answer_checks) or own is not None
        return final_answer_tool(self.settings.output_type, self._accept, own, may_block)

    def _adopt(self, name: str, tool: Tool) -> Tool:
        """Take a tool that is added or replaced: under the policies of the others, and final_answer ends the run."""
        if self._guard is not None:
            tool = self._guard.adopt(name, tool, replaces=name in self.tools)
        if name != FINAL_ANSWER:
            return tool
        self._own_final_answer = tool
        return self._final_answer(tool)

    def _accept(self, answer: Any) -> None:
        refusal = refusal_of(answer, list(self.settings.final_answer_checks), self.memory, self)
        if refusal is not None:
            raise refusal
        # Outside of a run, code of a python_executor may have called it.
        answers = self._answers_by_hand if self._run is None else self._run.answers
        answers.append(answer)


def _listing(variables: dict[str, Any]) -> str:
    if not variables:
        return ""
    listed = "\n".join(f"- {name} ({type(value).__name__})" for name, value in variables.items())
    return f"\n\nThese variables are set for you:\n{listed}"


def _outcome(result: RunResult, full: bool) -> Any:
    return result if full else result.unwrap()


def _last(events: Iterator[AgentEvent]) -> RunResult:
    last: AgentEvent | None = None
    for event in events:
        last = event
    return _result_of(last)


async def _alast(events: AsyncIterator[AgentEvent]) -> RunResult:
    last: AgentEvent | None = None
    async for event in events:
        last = event
    return _result_of(last)


def _result_of(last: AgentEvent | None) -> RunResult:
    if isinstance(last, RunEnded):
        return last.result
    raise RuntimeError("a run ended without its last event")
