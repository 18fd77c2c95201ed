"""Running an agent: to the end, step by step, streamed, awaited."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, overload

from cloche.agent.budgets import Ledger
from cloche.agent.core import AgentCore
from cloche.agent.errors import AgentBusy
from cloche.agent.events import AgentEvent, RunEnded, RunResult, StepEnded
from cloche.agent.flow.drivers import adrive, drive
from cloche.agent.flow.loop import run_flow
from cloche.agent.flow.replies import Replies, ReplyOptions
from cloche.agent.flow.run import Run
from cloche.agent.memory.steps import ActionStep, FinalAnswerStep, TaskStep
from cloche.agent.messages import Image
from cloche.agent.models.protocol import Model
from cloche.agent.saving import agent_from_dict, load_folder
from cloche.agent.showing import outline, told_again
from cloche.runtime.errors import ConfigurationError

__all__ = ["MultiStepAgent", "RunOptions"]


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
    replies: Replies = Replies.of()  # noqa: RUF009  (immutable)


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
        self, *, max_steps: int | None = None, return_full_result: bool = False, **replies: Unpack[ReplyOptions]
    ) -> Any:
        """Go on with the task of a run that was interrupted or ended by an error. Its budget begins anew.

        A run that ended with AgentSuspended, here or in the process that saved the agent, takes replies to its calls by
        their ids: ``approve`` are the calls to make now, ``deny`` has reasons why others are refused, ``values`` what
        they return, ``errors`` what they raise. Raises ConfigurationError for replies that nobody waits for, and
        AgentSuspended again while calls are left without a reply.
        """
        order = _Order(None, reset=False, max_steps=max_steps, replies=Replies.of(**replies))
        return _outcome(_last(self._events(order)), return_full_result)

    async def aresume(
        self, *, max_steps: int | None = None, return_full_result: bool = False, **replies: Unpack[ReplyOptions]
    ) -> Any:
        """Like :meth:`resume`, awaiting."""
        order = _Order(None, reset=False, max_steps=max_steps, replies=Replies.of(**replies))
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

        See :func:`cloche.agent.sharing.pull_agent` for what it takes and raises.
        """
        from cloche.agent.sharing import pull_agent

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
            yield from drive(run_flow(self, run, task))
        finally:
            self._end(run)

    async def _aevents(self, order: _Order) -> AsyncGenerator[AgentEvent, None]:
        run, task = self._begin(order)
        try:
            async with aclosing(adrive(run_flow(self, run, task))) as events:
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
