"""Host tools named on the command line."""

import sys
from collections.abc import Iterable

from cloche.cli.complaint import Complaint
from cloche.host_tools import ToolRegistry, from_object

__all__ = ["load_tools"]


def load_tools(references: Iterable[str]) -> ToolRegistry:
    """Return the tools behind ``module:function`` references; modules in the current folder are found too.

    Raises Complaint if a module does not import, or has no such tool.
    """
    if "" not in sys.path:
        # An installed script has its own folder there instead of the caller's.
        sys.path.insert(0, "")
    registry = ToolRegistry()
    for reference in references:
        _add(registry, reference)
    return registry


def _add(registry: ToolRegistry, reference: str) -> None:
    try:
        registry.add(from_object(reference))
    except (ValueError, SystemExit) as error:
        # ToolDefinitionError is a ValueError; SystemExit is a module that ends the process when imported.
        text = str(error) if isinstance(error, ValueError) else f"importing {reference!r} tried to exit"
        raise Complaint(text) from error
