"""An agent's session: what is set up in it, names given back to tools, and code that is run in it by hand."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Self

from cloche.agent.observations import error_of
from cloche.agent.toolset import FINAL_ANSWER, final_answer_tool
from cloche.host_tools import ToolLike, ToolRegistry
from cloche.runtime.errors import GuestException
from cloche.runtime.limits import Limits
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.session import Session

__all__ = [
    "RECLAIM",
    "BlaxelExecutor",
    "CodeOutput",
    "DockerExecutor",
    "E2BExecutor",
    "LocalPythonExecutor",
    "ModalExecutor",
    "PythonExecutor",
    "Reclaimed",
    "SessionState",
    "prepare_session",
    "take_plain_calls",
]

# An expression, so that nothing of it is among a program's names; and no import statement, which follows the policy.
_PART = "__import__('cloche_guest.agents.{}', fromlist=('_',))"
_SESSION = _PART.format("session")

RECLAIM = f"{_SESSION}.reclaim()"
"""Gives the names of tools back to the tools; :class:`Reclaimed` reads what comes of it."""


def take_plain_calls(session: Session) -> None:
    """Have async tools be callable without ``await`` in a session. Not part of the set-up: most sessions have none."""
    session.run(f"{_PART.format('plain_calls')}.begin()").unwrap()


def prepare_session(session: Session, imports: Iterable[str] | None) -> Session:
    """Make a new session, whose tools have a ``final_answer``, an agent's, and return it.

    ``imports`` are the modules that programs may import; None for all that the guest holds.
    """
    allowed = None if imports is None else list(map(str, imports))
    session.run(f"{_SESSION}.prepare({allowed!r})").unwrap()
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


E2BExecutor = "e2b"
"""smolagents' name, for ``executor_type=``, which says why none is needed."""

DockerExecutor = "docker"
"""smolagents' name, for ``executor_type=``, which says why none is needed."""

ModalExecutor = "modal"
"""smolagents' name, for ``executor_type=``, which says why none is needed."""

BlaxelExecutor = "blaxel"
"""smolagents' name, for ``executor_type=``, which says why none is needed."""


_LIST = """
[
    name for name, value in globals().items()
    if name[:1] != "_" and not callable(value) and type(value).__name__ != "module"
]
"""


@dataclass(frozen=True, slots=True)
class CodeOutput:
    """What running code gave: its last value or the final answer, and what it printed."""

    output: Any
    logs: str
    is_final_answer: bool


class SessionState(MutableMapping[str, Any]):
    """The variables of a session by name, read and set in the guest.

    Functions, classes, modules and names with an underscore can be asked for, and are not listed.
    """

    def __init__(self, session: Callable[[], Session]) -> None:
        self._session = session

    def __getitem__(self, name: str) -> Any:
        try:
            return self._session().get(name)
        except GuestException as error:
            raise KeyError(name) from error

    def __setitem__(self, name: str, value: Any) -> None:
        self._session().set(name, value)

    def __delitem__(self, name: str) -> None:
        if name not in set(self):
            raise KeyError(name)
        self._session().run(f"del {name}").unwrap()

    def __iter__(self) -> Iterator[str]:
        names = self._session().run(_LIST).unwrap()
        return iter(sorted(name for name in names if isinstance(name, str) and name.isidentifier()))

    def __len__(self) -> int:
        return len(list(iter(self)))


class PythonExecutor:
    """Runs code in a session, as an agent's steps do; ``state`` holds its variables.

    ``answers`` gets what ``final_answer`` is called with.
    """

    def __init__(self, session: Callable[[], Session], tools: ToolRegistry, answers: list[Any]) -> None:
        self._session = session
        self._tools = tools
        self._answers = answers
        self.state = SessionState(session)

    def send_tools(self, tools: Mapping[str, ToolLike]) -> None:
        """Add tools to those there are, or replace some. An agent's own are there already."""
        for name, tool in tools.items():
            if self._tools.get(name) is not tool:
                self._tools[name] = tool

    def send_variables(self, variables: Mapping[str, Any]) -> None:
        """Set variables. Raises TypeError for a value that cannot cross."""
        for name, value in variables.items():
            self.state[name] = value

    def __call__(self, code_action: str, state: Any = None) -> CodeOutput:
        """Run code and return what came of it. Raises the GuestError with which it failed; ``state`` is not needed."""
        self._answers.clear()
        result = self._session().run(code_action)
        if self._answers:
            return CodeOutput(self._answers.pop(0), result.stdout, True)
        if error_of(result) is not None and result.error is not None:
            raise result.error
        return CodeOutput(result.value, result.stdout, False)

    def cleanup(self) -> None:
        """Free the session. Safe to call twice."""
        self._session().close()


class LocalPythonExecutor(PythonExecutor):
    """Runs code in a sandbox of its own, with tools and without an agent.

    ``additional_authorized_imports`` changes nothing: all that the guest holds may be imported, and nothing else is
    there. ``timeout_seconds`` of one run, default 60.
    """

    def __init__(
        self,
        additional_authorized_imports: Iterable[str] = (),
        *,
        max_print_outputs_length: int | None = None,
        additional_functions: Mapping[str, ToolLike] | None = None,
        timeout_seconds: float | None = 60.0,
    ) -> None:
        answers: list[Any] = []
        tools = ToolRegistry(additional_functions or {})
        tools[FINAL_ANSWER] = final_answer_tool(None, answers.append, tools.get(FINAL_ANSWER), False)
        self._sandbox = Sandbox(tools, limits=Limits(time=timeout_seconds))
        self._opened: Session | None = None
        super().__init__(self._open, tools, answers)

    def cleanup(self) -> None:
        """Free the session; a later run begins in a new one."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def _open(self) -> Session:
        if self._opened is None:
            self._opened = prepare_session(self._sandbox.session(), None)
        return self._opened
