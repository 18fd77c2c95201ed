"""The program that an agent runs in its guest before the model's: read as text, never imported here."""

import functools
from collections.abc import Container, Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Self

from cloche.runtime.session.session import Session

__all__ = ["RECLAIM", "Reclaimed", "prepare_session", "setup_text", "take_plain_calls"]

RECLAIM = "_reclaim_tools()"
"""Gives the names of tools back to the tools; :class:`Reclaimed` reads what comes of it."""


def setup_text() -> str:
    """Return the program that a new session runs first; it wants ``_allowed_imports`` to be set."""
    return _program("setup.py")


@functools.cache
def _program(name: str) -> str:
    return files("cloche.agent.guest").joinpath(name).read_text(encoding="utf-8")


def take_plain_calls(session: Session) -> None:
    """Have async tools be callable without ``await`` in a session. Not part of the set-up: most sessions have none."""
    session.run(_program("waiting.py")).unwrap()


def prepare_session(session: Session, imports: Iterable[str] | None) -> Session:
    """Run the set-up in a new session, whose tools have a ``final_answer``, and return it.

    ``imports`` are the modules that programs may import; None for all that the guest holds.
    """
    session.set("_allowed_imports", None if imports is None else list(imports))
    session.run(setup_text()).unwrap()
    return session


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """The ``names`` of tools that a program had taken."""

    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, result: Any, tools: Container[str]) -> Self:
        """Read what running RECLAIM gave. Nothing in it is trusted, as a program may have changed what was run."""
        value: Any = result.value
        if not isinstance(value, list):
            return cls()
        names: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        return cls(tuple(name for name in names if isinstance(name, str) and name in tools))

    @property
    def note(self) -> str:
        """What a model is shown of the names; empty if there are none."""
        if not self.names:
            return ""
        listed = ", ".join(map(repr, self.names))
        which = "is one of your functions" if len(self.names) == 1 else "are your functions"
        return f"\n\nNote: {listed} {which}: what your program called so is gone. Use other names for variables."
