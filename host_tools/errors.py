"""The errors of this layer: one for the author of a tool, two for the program that calls it."""

from cloche.runtime.errors import ClocheError, ConfigurationError

__all__ = ["ToolDefinitionError", "ToolFailed", "ToolRejected"]


class ToolDefinitionError(ConfigurationError):
    """A tool cannot work as it is written; ``field`` names the tool, ``problem`` says what to write instead."""


class ToolRejected(ClocheError):
    """The program called a tool with wrong arguments; the tool itself was not run.

    ``guest_type`` is the exception class the guest raises: ``"TypeError"`` for a missing, unexpected or wrongly
    typed argument, ``"ValueError"`` for a value of the right type that is not allowed. ``guest_message`` is its
    text, which names the tool and the argument and holds nothing of the host.
    """

    def __init__(self, guest_type: str, guest_message: str) -> None:
        super().__init__(guest_type, guest_message)
        self.guest_type = guest_type
        self.guest_message = guest_message

    def __str__(self) -> str:
        return self.guest_message


class ToolFailed(ClocheError):
    """A tool ran and failed, for a reason that the program may read as it is.

    ``guest_type`` is the exception class the guest raises and ``guest_message`` its text. Raise it from a tool to
    choose both; the cause, if there is one, stays on the host.
    """

    def __init__(self, guest_type: str, guest_message: str) -> None:
        super().__init__(guest_type, guest_message)
        self.guest_type = guest_type
        self.guest_message = guest_message

    def __str__(self) -> str:
        return self.guest_message
