"""Runs the unit tests that a program has, where the program is ``__main__``. Read as text, and put behind each."""

import json
import sys
import traceback
import unittest
from typing import Any


class TaskOutcome(unittest.TestResult):
    """What became of each test: an empty text, or its traceback."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, str] = {}

    def addSuccess(self, test: unittest.TestCase) -> None:
        self.outcomes.setdefault(test.id(), "")

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self.outcomes[test.id()] = "".join(traceback.format_exception(*err))

    addError = addFailure


def shown_outcomes() -> str:
    """Return as JSON what became of the tests of ``__main__``."""
    found, streams = TaskOutcome(), (sys.stdout, sys.stderr)
    unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]).run(found)
    sys.stdout, sys.stderr = streams
    return json.dumps(found.outcomes)


print(f"\n{shown_outcomes()}")
