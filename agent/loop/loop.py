"""The loop of every agent: plan, act, look, until there is an answer or a limit."""

import time
from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING, Any

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
from cloche.agent.messages import Message
from cloche.agent.models.base import ModelRequest, Reply
from cloche.agent.steps import ActionStep, FinalAnswerStep, PlanningStep, StepError, TaskStep

if TYPE_CHECKING:
    from cloche.agent.base import MultiStepAgent

__all__ = ["ask", "run_loop"]


def run_loop(agent: "MultiStepAgent", run: Run, task: str) -> Loop:
    """Yield everything of one run; its RunEnded comes last, whatever happens except that nobody listens any more."""
    yield run.tell(RunStarted(task, run.parent.id if run.parent else "", _name(agent.model), **run.stamp))
    output, error = None, None
    try:
        yield CallFunction(lambda: agent.prepare(run), blocks=True)
        output = yield from _until_answered(agent, run)
    except Exception as problem:
        error = problem
        if isinstance(problem, StepsExceeded):
            output = yield from _last_answer(agent, run)
    if error is None or output is not None:
        final = FinalAnswerStep(answer=output)
        agent.memory.steps.append(final)
        yield from _call_back(agent, final)
    yield run.tell(RunEnded(_result(agent, run, output, error), **run.stamp))


def ask(agent: "MultiStepAgent", run: Run, request: ModelRequest, purpose: str) -> Generator[Any, Any, Reply]:
    """Ask the model within the budget. Raises ModelError, BudgetExceeded or AgentInterrupted."""
    run.check_interrupted()
    run.ledger.check()
    yield run.tell(ModelStarted(purpose, len(request.messages), **run.stamp))
    started = time.perf_counter()
    try:
        reply: Reply = yield AskModel(run, agent.model, request)
    except Exception as error:
        failed = ModelFinished("", None, time.perf_counter() - started, error=_told(error), **run.stamp)
        yield run.tell(failed)
        raise
    seconds = time.perf_counter() - started
    yield run.tell(ModelFinished(reply.message.text, reply.usage, seconds, reply.model, **run.stamp))
    run.ledger.spend(reply.usage)
    return reply


def _until_answered(agent: "MultiStepAgent", run: Run) -> Generator[Any, Any, Any]:
    yield from _go_on(agent, run)
    if run.answers:
        return run.answers[0]
    begun = _last_number(agent)
    for index in range(run.max_steps):
        yield from _plan(agent, run, index)
        step = ActionStep(number=begun + index + 1)
        run.step = step.number
        yield run.tell(StepStarted(step.number, **run.stamp))
        yield from _one_step(agent, run, step)
        if run.answers:
            return run.answers[0]
    raise StepsExceeded(run.max_steps, run.max_steps)


def _go_on(agent: "MultiStepAgent", run: Run) -> Generator[Any, Any, None]:
    """Go on with the step whose program waits for what this run has the answers to, if it is one."""
    step = agent.memory.waiting
    if step is None:
        return
    run.step = step.number
    run.first_step = len(agent.memory.steps) - 1
    agent.memory.steps.remove(step)
    yield run.tell(StepStarted(step.number, **run.stamp))
    yield from _one_step(agent, run, step)


def _one_step(agent: "MultiStepAgent", run: Run, step: ActionStep) -> Generator[Any, Any, None]:
    """Perform one step. Whatever ends it, it is in the memory afterwards, unless nothing came of it at all."""
    started = time.perf_counter()
    try:
        run.check_interrupted()
        run.ledger.check()
        agent.refresh_prompt()
        yield from agent.go_on(run, step) if step.waits else agent.act(run, step)
    except AgentSuspended:
        raise
    except BaseException as error:
        # Not only exceptions: whoever leaves a stream, or cancels a task, closes this generator.
        if not step.waits:
            _note_break(step, error)
        raise
    finally:
        step.seconds += time.perf_counter() - started
        if step.output or step.requests:
            step.is_final = bool(run.answers)
            agent.memory.steps.append(step)
    yield from _call_back(agent, step)
    yield run.tell(StepEnded(step, **run.stamp))
    run.check_interrupted()


def _note_break(step: ActionStep, error: BaseException) -> None:
    if step.error is None:
        was_running = bool(step.code) and step.guest is None
        message = "the run was left" if isinstance(error, GeneratorExit) else _told(error)
        step.error = StepError(type=type(error).__name__, message=message)
        step.error.state = "rolled_back" if was_running else "unchanged"
        step.observation = step.observation or f"This step was broken off: {message}."


def _call_back(agent: "MultiStepAgent", step: Any) -> Generator[Any, Any, None]:
    for value in agent.callbacks.call(step, agent):
        if hasattr(value, "__await__"):
            yield CallFunction(partial(_itself, value), blocks=False)


def _itself(value: Any) -> Any:
    return value


def _plan(agent: "MultiStepAgent", run: Run, index: int) -> Generator[Any, Any, None]:
    interval = agent.settings.planning_interval
    if interval is None or index % interval:
        return
    started = time.perf_counter()
    agent.refresh_prompt()
    name = "plan_update" if index else "plan"
    text = agent.prompts.render(name, task=_task(agent), tools=agent.tool_stubs(), steps_left=run.max_steps - index)
    messages = (*agent.memory.messages(), Message.of("user", text))
    reply = yield from ask(agent, run, ModelRequest(messages), "plan")
    step = PlanningStep(plan=reply.message.text, usage=reply.usage, seconds=time.perf_counter() - started)
    agent.memory.steps.append(step)
    yield from _call_back(agent, step)
    yield run.tell(PlanMade(step, **run.stamp))


def _last_answer(agent: "MultiStepAgent", run: Run) -> Generator[Any, Any, Any]:
    """Ask once more, for an answer from what there is; None if the model cannot be asked, or a type is asked for."""
    if agent.settings.output_type is not None:
        return None
    text = agent.prompts.render("last_answer", task=_task(agent))
    request = ModelRequest((*agent.memory.messages(), Message.of("user", text)))
    try:
        reply = yield from ask(agent, run, request, "answer")
    except (ModelError, BudgetExceeded, BudgetUnmeasured, AgentInterrupted):
        return None
    return reply.message.text


def _result(agent: "MultiStepAgent", run: Run, output: Any, error: Exception | None) -> RunResult:
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


def _last_number(agent: "MultiStepAgent") -> int:
    actions = agent.memory.actions
    return actions[-1].number if actions else 0


def _task(agent: "MultiStepAgent") -> str:
    return next((step.task for step in reversed(agent.memory.steps) if isinstance(step, TaskStep)), "")


def _name(model: Any) -> str:
    return str(getattr(model, "name", "") or type(model).__name__)


def _told(error: BaseException) -> str:
    return str(error) or type(error).__name__
