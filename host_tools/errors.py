"""The errors of this layer: for the author of a tool, for who fetches one from elsewhere, and two for the program."""

from cloche.runtime.errors import ClocheError, ConfigurationError, GuestVisibleError

__all__ = ["HubError", "RemoteCodeRefused", "ToolDefinitionError", "ToolFailed", "ToolRejected"]


class ToolDefinitionError(ConfigurationError):
    """A tool cannot work as it is written; ``field`` names the tool, ``problem`` says what to write instead."""


class RemoteCodeRefused(ConfigurationError):
    """Something fetched from elsewhere is code that would run on this host, and was not trusted explicitly.

    ``source`` is where it comes from. Nothing was fetched or run.
    """

    def __init__(self, source: str, what: str = "its code") -> None:
        problem = (
            f"{what} would run on this host, with its rights, and not in a sandbox: read {source}, then pass "
            "trust_remote_code=True, best with revision= the commit that was read; or give it a sandbox of its own"
        )
        super().__init__("trust_remote_code", problem)
        self.args = (source, what)
        self.source = source


class HubError(ClocheError):
    """The Hub or a Space could not give or take what was asked for. ``source`` names it, ``problem`` says why."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(source, problem)
        self.source = source
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.source}: {self.problem}"


class ToolRejected(GuestVisibleError):
    """The program called a tool with wrong arguments; the tool itself was not run.

    ``guest_type`` is the exception class the guest raises: ``"TypeError"`` for a missing, unexpected or wrongly
    typed argument, ``"ValueError"`` for a value of the right type that is not allowed. ``guest_message`` is its
    text, which names the tool and the argument and holds nothing of the host. ``argument`` is the name of the
    parameter whose value was wrong; empty where it is not about one.
    """

    def __init__(self, guest_type: str, guest_message: str, argument: str = "") -> None:
        super().__init__(guest_type, guest_message, argument)
        self.guest_type = guest_type
        self.argument = argument

    def __str__(self) -> str:
        return str(self.args[1])


class ToolFailed(GuestVisibleError):
    """A tool ran and failed, for a reason that the program may read as it is.

    ``guest_type`` is the exception class the guest raises and ``guest_message`` its text. Raise it from a tool to
    choose both; the cause, if there is one, stays on the host.
    """

    def __init__(self, guest_type: str, guest_message: str) -> None:
        super().__init__(guest_type, guest_message)
        self.guest_type = guest_type

    def __str__(self) -> str:
        return str(self.args[1])
