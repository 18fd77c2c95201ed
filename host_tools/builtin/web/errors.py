"""What can go wrong on the web, in words for the program that asked."""

from cloche.runtime.errors import ClocheError

__all__ = ["WebError", "WebRefused"]


class WebError(ClocheError):
    """A request failed. In the guest it is a ConnectionError with this text."""

    guest_type = "ConnectionError"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.guest_message = message


class WebRefused(WebError):
    """A request that this host does not make, for anybody. In the guest it is a PermissionError."""

    guest_type = "PermissionError"
