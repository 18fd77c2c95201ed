"""How a policy's decision reaches the program."""

from cloche.runtime.errors import ClocheError

__all__ = ["ToolDenied", "ToolTimedOut"]


class ToolDenied(ClocheError):
    """A policy did not allow a call; the tool was not run. In the guest it is a PermissionError.

    ``tool`` is the tool's name and ``reason`` what the program may know. The exception of a policy that failed
    is the ``__cause__``, for the host alone.
    """

    guest_type = "PermissionError"

    def __init__(self, tool: str, reason: str) -> None:
        super().__init__(tool, reason)
        self.tool = tool
        self.reason = reason

    @property
    def guest_message(self) -> str:
        """What the program reads."""
        return f"{self.tool}() is not allowed: {self.reason}"

    def __str__(self) -> str:
        return self.guest_message


class ToolTimedOut(ClocheError):
    """A tool took longer than its policy allows, and is not waited for any more. In the guest a TimeoutError."""

    guest_type = "TimeoutError"

    def __init__(self, tool: str, seconds: float) -> None:
        super().__init__(tool, seconds)
        self.tool = tool
        self.seconds = seconds

    @property
    def guest_message(self) -> str:
        """What the program reads."""
        return f"{self.tool}() took longer than {self.seconds:.3g} s"

    def __str__(self) -> str:
        return self.guest_message
