"""What must hold after a run was ended: its session as before, a neighbour untouched, and fresh guests sound."""

from types import TracebackType
from typing import Any, Self

from tests.hostile.harness import Attacked, attack

from cloche.runtime.limits import Limits
from cloche.runtime.result import Result
from cloche.runtime.sandbox import Sandbox

__all__ = ["Street"]

# Something of each kind of state: variables, a function, an import, a class, a file, a changed module.
_FURNISH = """
import json, random
kept = {"list": [1, 2, 3]}
alias = kept["list"]
class Thing:
    level = 1
def bump():
    Thing.level += 1
    return Thing.level
json.marker = "mine"
open("/work/kept.txt", "w").write("content")
"""
_LOOK = """
import os, sys, json
(kept, alias is kept["list"], Thing.level, json.marker, open("/work/kept.txt").read(), sorted(os.listdir("/work")),
 sys.getrecursionlimit())
"""
_EXPECTED = ({"list": [1, 2, 3]}, True, 1, "mine", "content", ["kept.txt"], 1000)


class Street:
    """A session that misbehaves, and its neighbour in the same sandbox; ``attacked`` is what that cost the host."""

    attacked: Attacked

    def __init__(self, box: Sandbox, limits: Limits | None = None) -> None:
        self.box = box
        self.limits = limits
        self.session = box.session()
        self.neighbour = box.session()

    def __enter__(self) -> Self:
        for session in (self.session, self.neighbour):
            session.run(_FURNISH).unwrap()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.session.close()
        self.neighbour.close()

    def misbehave(self, code: str, **options: Any) -> Result[Any]:
        """Run something that goes wrong in the session."""
        self.attacked = attack(self.session, code, limits=self.limits, **options)
        return self.attacked.result

    def check(self) -> None:
        """Check that everything is as it was, twice: the second run needs no rollback."""
        for session in (self.session, self.neighbour, self.session):
            assert session.run(_LOOK).unwrap() == _EXPECTED
        # Both can continue, each with its own state.
        assert self.session.run("bump()").unwrap() == 2
        assert self.neighbour.run("Thing.level").unwrap() == 1
        assert self.box.run("6 * 7, 'kept' in globals()").unwrap() == (42, False)
