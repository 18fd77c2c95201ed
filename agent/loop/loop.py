"""The loop of every agent: plan, act, look, until there is an answer or a limit."""

import time
from collections.abc import Generator
from functools import partial
from typing import Any, Protocol

from cloche.agent.callbacks import CallbackTable
from cloche.agent.errors import (
    AgentInterrupted,
    AgentSuspended,
    BudgetExceeded,
    BudgetUnmeasured,
    ModelError,
    StepsExceeded,
)
from cloche.agent.events import (
    ModelFinished,
    ModelLoading,
    ModelStarted,
    PlanMade,
    RunEnded,
    RunResult,
    RunStarted,
    StepEnded,
    StepStarted,
)
from cloche.agent.events import RunState as State
from cloche.agent.loop.effects import AskModel, CallFunction, Loop
from cloche.agent.loop.run import Run
from cloche.agent.memory import AgentMemory
from cloche.agent.messages import Message
from cloche.agent.models.base import AnyModel, ModelRequest, Reply, loading, warm_up
from cloche.agent.prompting import PromptTemplates
from cloche.agent.replies.calls import literal_answer
from cloche.agent.settings import Settings
from cloche.agent.steps import ActionStep, FinalAnswerStep, PlanningStep, StepError

__all__ = ["STOP", "Agent", "ask", "run_loop"]

# Models make observations up. The mark that ends a program is no stop text: a provider would end the reply at the first
# one, in a string, or in a draft within the model's reasoning.
STOP = ("\nObservation:",)
"""Where a model's reply to a step ends."""


class Agent(Protocol):
    """What the loop needs of an agent: its parts, and what one step of its kind is."""

    model: AnyModel
    settings: Settings
    prompts: PromptTemplates
    callbacks: CallbackTable
    memory: AgentMemory

    def prepare(self, run: Run) -> None:
        """Get ready for a run; may block."""
        ...

    def act(self, run: Run, step: ActionStep) -> Generator[Any, Any, None]:
        """Do what makes up a step. Yields events and effects."""
        ...

    def continue_step(self, run: Run, step: ActionStep) -> Generator[Any, Any, None]:
        """Continue a step that was suspended."""
        ...

    def refresh_prompt(self) -> None:
        """Bring the system prompt up to date."""
        ...

    def tool_stubs(self) -> str:
        """Return the tools as the model reads them."""
        ...


def run_loop(agent: Agent, run: Run, task: str) -> Loop:
    """Yield the events and effects of one run. RunEnded comes last, unless the generator is closed before."""
    parent = run.parent.id if run.parent else ""
    yield run.emit(RunStarted(task, parent, _name(agent.model), run.request, **run.stamp))
    output, error = None, None
    try:
        warm_up(agent.model)
        yield CallFunction(lambda: agent.prepare(run), blocks=True)
        if what := loading(agent.model):
            yield run.emit(ModelLoading(what, **run.stamp))
        output = yield from _until_answered(agent, run)
    except Exception as problem:
        error = problem
        if isinstance(problem, StepsExceeded):
            output = yield from _last_answer(agent, run)
    if error is None or output is not None:
        final = FinalAnswerStep(answer=output)
        agent.memory.steps.append(final)
        yield from _call_back(agent, final)
    yield run.emit(RunEnded(_result(agent, run, output, error), **run.stamp))


def ask(agent: Agent, run: Run, request: ModelRequest, purpose: str) -> Generator[Any, Any, Reply]:
    """Ask the model within the budget. Raises ModelError, BudgetExceeded or AgentInterrupted."""
    run.check_interrupted()
    run.ledger.check()
    yield run.emit(ModelStarted(purpose, len(request.messages), request, **run.stamp))
    started = time.perf_counter()
    try:
        reply: Reply = yield AskModel(run, agent.model, request)
    except Exception as error:
        failed = ModelFinished("", None, time.perf_counter() - started, error=_text(error), **run.stamp)
        yield run.emit(failed)
        raise
    seconds = time.perf_counter() - started
    yield run.emit(ModelFinished(reply.message.text, reply.usage, seconds, reply.model, **run.stamp))
    run.ledger.spend(reply.usage)
    return reply


def _until_answered(agent: Agent, run: Run) -> Generator[Any, Any, Any]:
    yield from _continue_pending(agent, run)
    if run.answers:
        return run.answers[0]
    actions = agent.memory.actions
    earlier = actions[-1].number if actions else 0
    for index in range(run.max_steps):
        yield from _plan(agent, run, index)
        step = ActionStep(number=earlier + index + 1)
        run.step = step.number
        yield run.emit(StepStarted(step.number, **run.stamp))
        yield from _one_step(agent, run, step)
        if run.answers:
            return run.answers[0]
    raise StepsExceeded(run.max_steps, run.max_steps)


def _continue_pending(agent: Agent, run: Run) -> Generator[Any, Any, None]:
    """Continue the step whose program is suspended, if there is one."""
    step = agent.memory.waiting
    if step is None:
        return
    run.step = step.number
    run.first_step = len(agent.memory.steps) - 1
    agent.memory.steps.remove(step)
    yield run.emit(StepStarted(step.number, **run.stamp))
    yield from _one_step(agent, run, step)


def _one_step(agent: Agent, run: Run, step: ActionStep) -> Generator[Any, Any, None]:
    """Perform one step. However it ends, it is in the memory afterwards, unless the model was not even asked."""
    started = time.perf_counter()
    try:
        run.check_interrupted()
        run.ledger.check()
        agent.refresh_prompt()
        yield from agent.continue_step(run, step) if step.waits else agent.act(run, step)
    except AgentSuspended:
        raise
    except BaseException as error:
        # Not only exceptions: leaving a stream, or cancelling a task, closes this generator.
        if not step.waits:
            _note_break(step, error)
        raise
    finally:
        step.seconds += time.perf_counter() - started
        if step.output or step.requests:
            step.is_final = bool(run.answers)
            agent.memory.steps.append(step)
    yield from _call_back(agent, step)
    yield run.emit(StepEnded(step, **run.stamp))
    run.check_interrupted()


def _note_break(step: ActionStep, error: BaseException) -> None:
    if step.error is None:
        was_running = bool(step.code) and step.guest is None
        message = "the run was abandoned" if isinstance(error, GeneratorExit) else _text(error)
        step.error = StepError(type=type(error).__name__, message=message)
        step.error.state = "rolled_back" if was_running else "unchanged"
        step.observation = step.observation or f"This step was cut short: {message}."


def _call_back(agent: Agent, step: Any) -> Generator[Any, Any, None]:
    for value in agent.callbacks.call(step, agent):
        if hasattr(value, "__await__"):
            yield CallFunction(partial(_itself, value), blocks=False)


def _itself(value: Any) -> Any:
    return value


def _plan(agent: Agent, run: Run, index: int) -> Generator[Any, Any, None]:
    interval = agent.settings.planning_interval
    if interval is None or index % interval:
        return
    started = time.perf_counter()
    agent.refresh_prompt()
    name = "plan_update" if index else "plan"
    tools = agent.tool_stubs()
    listed = tools in agent.memory.system.prompt
    text = agent.prompts.render(
        name, task=agent.memory.task, tools=tools, listed=listed, steps_left=run.max_steps - index
    )
    messages = (*agent.memory.messages(), Message.of("user", text))
    reply = yield from ask(agent, run, ModelRequest(messages), "plan")
    step = PlanningStep(plan=reply.message.text, usage=reply.usage, seconds=time.perf_counter() - started)
    agent.memory.steps.append(step)
    yield from _call_back(agent, step)
    yield run.emit(PlanMade(step, **run.stamp))


def _last_answer(agent: Agent, run: Run) -> Generator[Any, Any, Any]:
    """Ask once more, for an answer from what was found; None if the model fails, or the answer has to be of a type."""
    if agent.settings.output_type is not None:
        return None
    text = agent.prompts.render("last_answer", task=agent.memory.task)
    request = ModelRequest((*agent.memory.messages(), Message.of("user", text)))
    try:
        reply = yield from ask(agent, run, request, "answer")
    except (ModelError, BudgetExceeded, BudgetUnmeasured, AgentInterrupted):
        return None
    return literal_answer(reply.message, getattr(agent, "tags", None))


def _result(agent: Agent, run: Run, output: Any, error: Exception | None) -> RunResult:
    ledger = run.ledger
    steps = agent.memory.steps[run.first_step :]
    return RunResult(output, _state(error), steps, ledger.usage, ledger.seconds, ledger.tool_calls, error, run.id)


def _state(error: Exception | None) -> State:
    match error:
        case None:
            return "success"
        case StepsExceeded():
            return "max_steps"
        case BudgetExceeded() | BudgetUnmeasured():
            return "budget"
        case ModelError():
            return "model_error"
        case AgentInterrupted():
            return "interrupted"
        case AgentSuspended():
            return "suspended"
        case _:
            return "failed"


def _name(model: Any) -> str:
    return str(getattr(model, "name", "") or type(model).__name__)


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__
