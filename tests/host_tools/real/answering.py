"""A process that restores a suspended program, answers its call, and prints the program's value."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

from cloche import Sandbox, Snapshot
from cloche.host_tools.call_log import CallLog, CallRecord, JsonLinesLog, SQLiteLog
from cloche.host_tools.policy import GuardedTools


class Both:
    """Writes to a file of JSON lines and to a database."""

    def __init__(self, folder: Path) -> None:
        self._logs: list[CallLog] = [JsonLinesLog(folder / "log.jsonl"), SQLiteLog(folder / "log.db")]

    def write(self, record: CallRecord) -> None:
        for log in self._logs:
            log.write(record)


def tests() -> Any:
    """Return the module of the tests, for its tools and policies."""
    spec = importlib.util.spec_from_file_location("answers", Path(__file__).with_name("test_answers.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(folder: Path, answer: str) -> None:
    """Answer the call in one of four ways."""
    module = tests()
    tools = GuardedTools(module.TOOLS, module.POLICIES, log=Both(folder))
    paused = Sandbox(tools=tools).restore(Snapshot.load(folder / "snapshot")).suspended
    assert paused is not None
    result: Any = {
        "value": lambda: paused.resume({1: "red"}),
        "approve": lambda: paused.approve(1),
        "deny": lambda: paused.deny(1, "too dear"),
        "error": lambda: paused.resume_error(1, LookupError("gone")),
    }[answer]()
    print(result.unwrap(), end="")


main(Path(sys.argv[1]), sys.argv[2])
