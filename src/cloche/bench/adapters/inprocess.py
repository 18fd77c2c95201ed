"""``exec`` in this very process: no isolation at all, and the baseline of everything."""

from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

from cloche.bench.adapters.base import Run, Runner

__all__ = ["Adapter"]


class Adapter(Runner):
    """``exec`` in a dictionary."""

    value = ""

    def fresh(self, code: str) -> Any:
        """Run in a new dictionary."""
        return _run(dict(self.tools), code)

    @contextmanager
    def session(self) -> Generator[Run, None, None]:
        """Run in one dictionary."""
        yield partial(_run, dict(self.tools))


def _run(names: dict[str, Any], code: str) -> Any:
    exec(code, names)  # noqa: S102 - this peer is exec
    return names.get("result")
