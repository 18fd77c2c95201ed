"""``cloche agent``: a task for a model, with its programs in the sandbox."""

import argparse
from typing import Any

from cloche.agent import AgentError, CodeAgent, MultiStepAgent, RunBudget, RunRecorder, ToolCallingAgent
from cloche.agent.base import Tools
from cloche.agent.models import LiteLLMModel, Model
from cloche.cli.agent.approval import decided, with_approval
from cloche.cli.agent.script import scripted_model, scripted_task
from cloche.cli.agent.tools import agent_tools
from cloche.cli.exit_codes import CommandError, ExitCode
from cloche.cli.flags import MODELS_BY_KEY, model_of_environment
from cloche.cli.harmless import harmless

__all__ = ["add_agent", "add_trace", "command"]


_AGENT = """\
Work on a task with an agent whose programs run in the sandbox. Its steps appear as they happen. Without a task it asks
for one after the other, and remembers the conversation.
"""


def add_agent(commands: Any) -> None:
    """Add ``cloche agent``."""
    agent = commands.add_parser("agent", help="work on a task with a model", description=_AGENT)
    agent.add_argument("task", nargs="?", metavar="TASK", help="what to do; default: ask")
    agent.add_argument("--model", metavar="NAME", help="a model by its LiteLLM name, such as ollama_chat/qwen3")
    agent.add_argument("--api-base", metavar="URL", help="where the model is served, if not at its provider")
    agent.add_argument("--scripted", action="store_true", help="a recorded model and its tools: no key, no network")
    agent.add_argument(
        "--tool", action="append", default=[], metavar="MODULE:FUNCTION", help="a host tool; may be repeated"
    )
    agent.add_argument(
        "--mcp", action="append", default=[], metavar="SERVER", help="an MCP server: its URL or its command; repeatable"
    )
    agent.add_argument(
        "--approve", action="append", default=[], metavar="TOOL", help="ask before each call of this tool; repeatable"
    )
    agent.add_argument("--calls-tools", action="store_true", help="call tools by schema instead of writing code")
    agent.add_argument("--max-steps", type=int, default=20, metavar="N", help="default: 20")
    agent.add_argument("--max-cost", type=float, metavar="DOLLARS", help="stop when this much was spent")
    agent.add_argument("--plan", type=int, metavar="N", help="make a plan every N steps")
    agent.add_argument("--record", metavar="FILE", help="append a run record, for cloche trace")
    agent.add_argument("--quiet", action="store_true", help="print the answer only")


def add_trace(commands: Any) -> None:
    """Add ``cloche trace``."""
    trace = commands.add_parser("trace", help="show a run record of an agent")
    trace.add_argument("file", metavar="FILE", help="what RunRecorder, or cloche agent --record, wrote")
    trace.add_argument("--html", metavar="OUT", help="write a page with a timeline instead of printing text")


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
        raise CommandError(_no_model())
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
