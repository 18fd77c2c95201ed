"""Where the layer above says how other things become a Dispatcher. It imports nothing, to be free at every import."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["converter", "register_converter"]

_converters: "list[Callable[[Any], Any]]" = []


def register_converter(convert: "Callable[[Any], Any]") -> None:
    """Let sandboxes take tools in another form, such as a list of functions; the layer above calls this on import.

    ``convert`` returns a Dispatcher, and raises ConfigurationError for what it does not understand. The latest one
    registered is used.
    """
    _converters.append(convert)


def converter() -> "Callable[[Any], Any]":
    """Return the converter registered last. There is one: the package registers it when it is imported."""
    return _converters[-1]
