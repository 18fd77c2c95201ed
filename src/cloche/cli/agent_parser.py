"""The grammar of ``cloche agent`` and ``cloche trace``."""

from typing import Any

__all__ = ["add_agent", "add_trace"]

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
