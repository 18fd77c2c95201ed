"""``cloche agent``: a task for a model, with its programs in the sandbox."""

import argparse
from typing import Any

from cloche.agent import AgentError, CodeAgent, MultiStepAgent, RunBudget, RunRecorder, ToolCallingAgent
from cloche.agent.base import Tools
from cloche.agent.models import LiteLLMModel, Model
from cloche.cli.agent_approval import decided, with_approval
from cloche.cli.agent_script import scripted_model, scripted_task
from cloche.cli.agent_tools import agent_tools
from cloche.cli.complaint import Complaint
from cloche.cli.exit_codes import ExitCode
from cloche.cli.harmless import harmless
from cloche.cli.model_keys import MODELS_BY_KEY, model_of_environment

__all__ = ["command"]


def command(arguments: argparse.Namespace) -> int:
    """Work on the task, or on one after the other, and return the exit code. Raises Complaint without a model."""
    with agent_tools(arguments) as found, _agent(arguments, with_approval(found, arguments.approve)) as agent:
        task = arguments.task or (scripted_task() if arguments.scripted else None)
        return _work(agent, task, reset=True) if task else _converse(agent)


def _agent(arguments: argparse.Namespace, tools: Tools) -> MultiStepAgent:
    options: dict[str, Any] = {
        "max_steps": arguments.max_steps,
        "planning_interval": arguments.plan,
        "budget": RunBudget(cost=arguments.max_cost),
        "observers": [RunRecorder(arguments.record)] if arguments.record else [],
        "verbosity": 0 if arguments.quiet else 2,
    }
    make = ToolCallingAgent if arguments.calls_tools else CodeAgent
    return make(tools, _model(arguments), **options)


def _model(arguments: argparse.Namespace) -> Model:
    if arguments.scripted:
        return scripted_model(calls_tools=arguments.calls_tools)
    name = arguments.model or model_of_environment()
    if name is None:
        raise Complaint(_no_model())
    return LiteLLMModel(name, api_base=arguments.api_base)


def _no_model() -> str:
    keys = "\n".join(f"  {key}  for {model}" for key, model in MODELS_BY_KEY.items())
    return (
        "which model? Name one with --model, for example --model ollama_chat/qwen3 for one of Ollama's on this "
        f"machine, or set one of these variables:\n{keys}\nTo see an agent work without any: cloche agent --scripted"
    )


def _work(agent: MultiStepAgent, task: str, *, reset: bool) -> int:
    try:
        answer = decided(agent, agent.run(task, reset=reset, return_full_result=True)).unwrap()
    except KeyboardInterrupt:
        agent.interrupt()
        raise
    except AgentError as error:
        print(harmless(f"cloche agent: {type(error).__name__}: {error}"))
        return ExitCode.FAILED
    print(harmless(str(answer)))
    return ExitCode.OK


def _converse(agent: MultiStepAgent) -> int:
    code, reset = ExitCode.OK, True
    while True:
        try:
            task = input("task> ").strip()
        except EOFError:
            return code
        if task:
            code = ExitCode(_work(agent, task, reset=reset))
            reset = False
