"""The REPL's session: one at a time, with limits that may change between two pieces."""

from importlib import resources
from typing import Any, Unpack

from cloche import Sandbox
from cloche.cli.output import write_event
from cloche.cli.worker import run_interruptibly
from cloche.host_tools import ToolRegistry
from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import LimitChanges, Limits
from cloche.runtime.result import Result
from cloche.runtime.session.session import Session
from cloche.runtime.snapshots.snapshot import Snapshot

__all__ = ["ReplSession"]

# Bytes of snapshots to go back to: some thousand pieces of a small session.
_MAX_PAST = 64 << 20


class ReplSession:
    """Runs pieces in one session of a sandbox. The guest itself shows the values, see ``programs/shown.py``."""

    session: Session

    def __init__(self, box: Sandbox, tools: ToolRegistry) -> None:
        self._box = box
        self.tools = tools
        self.limits: Limits = box.limits
        self.last: Result[Any] | None = None
        self._begin()

    def run(self, piece: str) -> Result[Any]:
        """Run one piece, writing its output as it comes; Ctrl-C ends it and the session is as before it."""
        self._remember()
        self.last = run_interruptibly(
            lambda: self.session.run(piece, limits=self.limits, on_event=write_event),
            interrupt=self.session.interrupt,
        )
        return self.last

    def undo(self) -> bool:
        """Go back to before the last piece that was not undone yet. Returns False if none is remembered."""
        if not self._past:
            return False
        self.session.close()
        self.session = self._box.restore(self._past.pop())
        return True

    def reset(self) -> None:
        """Begin again in a fresh session with the same tools and limits."""
        self.session.close()
        self._begin()

    def change(self, **changes: Unpack[LimitChanges]) -> None:
        """Change limits from the next piece on. Raises ConfigurationError, also for memory: that is the session's."""
        if "memory" in changes:
            raise ConfigurationError("memory", "it is set when the session begins: start cloche repl with --memory")
        self.limits = self.limits.replace(**changes)

    def close(self) -> None:
        """End the session."""
        self.session.close()

    def _remember(self) -> None:
        self._past.append(self.session.snapshot())
        while sum(map(len, self._past)) > _MAX_PAST:
            self._past.pop(0)

    def _begin(self) -> None:
        self._past: list[Snapshot] = []
        self.session = self._box.session()
        hook = resources.files("cloche.cli.repl").joinpath("programs", "shown.py").read_text(encoding="utf-8")
        self.session.run(hook).unwrap()
