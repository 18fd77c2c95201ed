"""Tools of an MCP server as functions of a program: here Cloche's own server, a sandbox inside a sandbox's tool."""

import os
import sys

from cloche import Sandbox
from cloche.host_tools.external import ToolCollection

SERVER = {
    "command": sys.executable,
    "args": ["-m", "cloche", "mcp", "--fuel", "1e9"],
    "env": {"PYTHONPATH": os.pathsep.join(sys.path)},
}
PROGRAM = """
answer = run_python("[n for n in range(2, 30) if all(n % d for d in range(2, n))]")
print(answer["value"])
try:
    run_python("while True: pass")
except RuntimeError as error:
    print(error)
"""


def main() -> None:
    """Connect, and let a program call the server's tools."""
    with ToolCollection.from_mcp(SERVER) as tools:
        print(", ".join(sorted(tools)))
        print(Sandbox(tools=tools).run(PROGRAM).stdout, end="")


if __name__ == "__main__":
    main()
