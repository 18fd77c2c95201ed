"""``cloche agent``: a task for a model, with its programs in the sandbox."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from cloche.agent import (
    BudgetExceeded,
    CodeAgent,
    LiteLLMModel,
    Model,
    MultiStepAgent,
    RunBudget,
    RunRecorder,
    ToolCallingAgent,
)
from cloche.agent.base import Tools
from cloche.agent.values import answer_text
from cloche.cli.agent.tools import agent_tools, answer_calls, scripted_model, scripted_task, with_approval
from cloche.cli.exit_codes import CommandError, ExitCode
from cloche.cli.files import problems_with
from cloche.cli.flags import MODELS_BY_KEY, Commands, add_tool_flag, model_of_environment
from cloche.cli.output import need_package
from cloche.runtime._terminal import harmless, one_line
from cloche.runtime.errors import CallerError, ClocheError

__all__ = ["add_parser", "command"]

_DESCRIPTION = """\
Work on a task with an agent whose programs run in the sandbox. Its steps appear as they happen. Without a task it asks
for one after the other, and remembers the conversation. Exit codes: 0 with an answer, 1 without one, 3 when the steps
or the budget were used up, with an answer from what was found by then or without.
"""


def add_parser(commands: Commands, name: str, help: str) -> None:
    """Add the command's grammar."""
    agent = commands.add_parser(name, help=help, description=_DESCRIPTION)
    agent.add_argument("task", nargs="?", metavar="TASK", help="what to do; default: ask")
    agent.add_argument("--model", metavar="NAME", help="a model by its LiteLLM name, such as ollama_chat/qwen3")
    agent.add_argument("--api-base", metavar="URL", help="where the model is served, if not at its provider")
    agent.add_argument("--scripted", action="store_true", help="a recorded model and its tools: no key, no network")
    add_tool_flag(agent)
    agent.add_argument(
        "--mcp", action="append", default=[], metavar="SERVER", help="an MCP server: its URL or its command; repeatable"
    )
    agent.add_argument(
        "--approve", action="append", default=[], metavar="TOOL", help="ask before each call of this tool; repeatable"
    )
    agent.add_argument("--calls-tools", action="store_true", help="call tools by schema instead of writing code")
    agent.add_argument(
        "--imports",
        nargs="+",
        action="extend",
        type=_module,
        metavar="MODULE",
        help="what programs may import, such as --imports json math (default: all that the image holds)",
    )
    agent.add_argument("--max-steps", type=int, default=20, metavar="N", help="default: 20")
    agent.add_argument("--max-cost", type=float, metavar="DOLLARS", help="stop when this much was spent")
    agent.add_argument("--plan", type=int, metavar="N", help="make a plan every N steps")
    agent.add_argument(
        "--http", type=int, metavar="PORT", help="offer the agent as a model of OpenAI's API, at 127.0.0.1"
    )
    agent.add_argument("--record", metavar="FILE", help="append a run record, for cloche trace")
    agent.add_argument("--quiet", action="store_true", help="print the answer only")


def command(arguments: argparse.Namespace) -> int:
    """Work on the task, or on one after the other, and return the exit code. Raises CommandError without a model."""
    if arguments.imports and arguments.calls_tools:
        raise CommandError("--imports is for programs, and with --calls-tools there are none: leave one of them out")
    if arguments.record:
        with problems_with(arguments.record, "write"):
            Path(arguments.record).open("a").close()
    with agent_tools(arguments) as found, _agent(arguments, with_approval(found, arguments.approve)) as agent:
        if arguments.http is not None:
            return _serve(agent, arguments.http)
        task = arguments.task or (scripted_task() if arguments.scripted else None)
        return _work(agent, task, reset=True) if task else _converse(agent)


def _serve(agent: MultiStepAgent, port: int) -> ExitCode:
    """Serve until Ctrl-C. The key that clients must have is CLOCHE_API_KEY's, if that is set."""
    need_package("starlette", "serve")
    need_package("uvicorn", "serve")
    import uvicorn

    from cloche.integrations.openai_api import openai_app

    key = os.environ.get("CLOCHE_API_KEY")
    name = agent.name or "cloche"
    print(f"the model {name!r} is at http://127.0.0.1:{port}/v1" + ("" if key else ", without a key"), flush=True)
    uvicorn.run(openai_app({name: agent}, keys=[key] if key else []), host="127.0.0.1", port=port, log_level="warning")
    return ExitCode.OK


def _module(text: str) -> str:
    if not all(part.isidentifier() for part in text.split(".")):
        raise argparse.ArgumentTypeError(f"{text[:60]!r} is not a module's name (write the TASK before --imports)")
    return text


def _agent(arguments: argparse.Namespace, tools: Tools) -> MultiStepAgent:
    options: dict[str, Any] = {
        "max_steps": arguments.max_steps,
        "planning_interval": arguments.plan,
        "budget": RunBudget(cost=arguments.max_cost),
        "observers": [RunRecorder(arguments.record)] if arguments.record else [],
        "verbosity": 0 if arguments.quiet else 2,
    }
    if arguments.calls_tools:
        return ToolCallingAgent(tools, _model(arguments), **options)
    return CodeAgent(tools, _model(arguments), imports=arguments.imports, **options)


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


def _work(agent: MultiStepAgent, task: str, *, reset: bool) -> ExitCode:
    try:
        result = answer_calls(agent, agent.run(task, reset=reset, return_full_result=True))
        answer = result.unwrap()
    except KeyboardInterrupt:
        agent.interrupt()
        raise
    except CallerError:
        raise
    except ClocheError as error:
        _print_error(error)
        return _exit_code(error)
    print(harmless(answer_text(answer)))
    if result.error is not None:
        _print_error(result.error)
    return _exit_code(result.error)


def _print_error(error: Exception) -> None:
    print("cloche agent:", one_line(f"{type(error).__name__}: {error}", 1_000), file=sys.stderr)


def _exit_code(error: Exception | None) -> ExitCode:
    """Return the code of a run's error; a run that used up its steps has one even where it came to an answer."""
    if error is None:
        return ExitCode.OK
    return ExitCode.LIMIT if isinstance(error, BudgetExceeded) else ExitCode.FAILED


def _converse(agent: MultiStepAgent) -> ExitCode:
    code, reset = ExitCode.OK, True
    while True:
        try:
            task = input("task> ").strip()
        except EOFError:
            return code
        if task:
            code = _work(agent, task, reset=reset)
            reset = False
