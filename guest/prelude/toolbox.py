"""The set of tools a program sees among its global names."""

from collections.abc import MutableMapping
from types import FunctionType
from typing import Any

from cloche_guest.parallel import is_proxy
from cloche_guest.proxies import make_proxy
from cloche_guest.signatures import ToolSpec

__all__ = ["Toolbox"]


class Toolbox:
    """Keeps one namespace's tools in step with the host's set."""

    def __init__(self, namespace: MutableMapping[str, Any]) -> None:
        self._namespace = namespace
        self._defined: dict[str, FunctionType] = {}

    def define(self, specs: list[ToolSpec]) -> None:
        """Replace the whole set: names no longer present disappear.

        A variable of the program's own that has a tool's name stays and hides the tool.
        """
        fresh = {spec["name"]: make_proxy(spec) for spec in specs}
        self._remove_stale()
        for name, proxy in fresh.items():
            if name not in self._namespace or is_proxy(self._namespace[name]):
                self._namespace[name] = proxy
        self._defined = fresh

    def _remove_stale(self) -> None:
        for name, proxy in self._defined.items():
            if self._namespace.get(name) is proxy:
                del self._namespace[name]
