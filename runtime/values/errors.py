"""What can go wrong with a value: it cannot be sent, it is too large to send, or what arrived is not a value."""


class ValueCodecError(Exception):
    """The root of this package's errors."""


class UnserializableError(ValueCodecError, TypeError):
    """A value cannot cross: its type is not one that crosses, or it is cyclic or nested too deep.

    `path` says where (`result['rows'][3]`), `type_name` what was found there; either may be "" when unknown.
    """

    def __init__(self, message: str, *, path: str = "", type_name: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.type_name = type_name


class ValueTooLarge(ValueCodecError, ValueError):
    """A value is larger than the sender may send. `path` says where, "" when unknown."""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class SizeExceeded(ValueTooLarge):
    """The value as a whole is too large, so there is no place in it to point at. Not exported: a ValueTooLarge."""


class MalformedValue(ValueCodecError, ValueError):
    """The bytes received are not a value that this codec writes, or decode to more than the receiver allows."""
