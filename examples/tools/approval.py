"""A person approves what a program does, call by call, and every call is on record."""

import sys

from cloche import Sandbox, tool
from cloche.host_tools.call_log import MemoryLog
from cloche.host_tools.policy import Approval, GuardedTools, PlannedCall, Policy, at_most

PROGRAM = """
sent = []
for name, amount in [("ann", 20), ("bob", 45), ("eve", 5000)]:
    try:
        sent.append(transfer(name, amount))
    except PermissionError as error:
        print(error)
sent
"""


@tool
def transfer(to: str, amount: int) -> str:
    """Send a person money.

    Args:
        to: who gets it
        amount: how much, in euros
    """
    return f"{amount} to {to}"


def approve(call: PlannedCall) -> Approval:
    """Ask at the keyboard; without one, allow small amounts."""
    if not sys.stdin.isatty():
        return Approval(call.arguments["amount"] < 40, by="the example", reason="the approver is away")
    answer = input(f"{call.tool}({dict(call.arguments)}) - allow? [y/N] ")
    return Approval(answer.strip().lower() == "y", by="you")


def main() -> None:
    """Run the program under the policy, then show the record."""
    log = MemoryLog()
    policy = Policy(arguments={"amount": at_most(1_000)}, approve=approve, calls=10)
    tools = GuardedTools([transfer], {"transfer": policy}, log=log)
    with tools.scope(agent="treasurer", step=1):
        result = Sandbox(tools=tools).run(PROGRAM)
    print(f"{result.stdout}{result.unwrap()}")
    for record in log.records:
        print(f"{record.agent} {record.tool} {record.arguments} -> {record.outcome} {record.approval}".rstrip())


if __name__ == "__main__":
    main()
