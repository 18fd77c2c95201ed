"""An agent with the tools of an MCP server, which it finds as typed functions; here the server is ``cloche mcp``."""

import os
import sys

from models import code, model_or

from cloche.agent import CodeAgent
from cloche.host_tools.external import ToolCollection

SERVER = {
    "command": sys.executable,
    "args": ["-m", "cloche", "mcp"],
    "env": {"PYTHONPATH": os.pathsep.join(sys.path)},
}
LINES = [
    code("The server runs Python.", "answer = run_python('sum(n * n for n in range(1_000))')\nprint(answer['value'])"),
    code("That is the sum.", "final_answer(int(answer['value']))"),
]


def main() -> None:
    """Connect to the server, and give the agent what it offers."""
    with ToolCollection.from_mcp(SERVER) as tools, CodeAgent(tools, model_or(LINES)) as agent:
        print(f"{len(tools)} tools, run_python among them: {'run_python' in tools}")
        print(agent.run("What is the sum of the squares below 1,000? Have the server compute it."))


if __name__ == "__main__":
    main()
