"""The program's ``__main__`` module, and the builtins that belong to it."""

import _sitebuiltins
import builtins
import sys
from types import ModuleType
from typing import Any, NoReturn

from cloche_guest.patching import put
from cloche_guest.tool_errors import CannotSuspendHere, ToolError

__all__ = ["MAIN", "NAMESPACE", "install"]

MAIN = ModuleType("__main__")
NAMESPACE: dict[str, Any] = vars(MAIN)


def leave(code: object = None) -> NoReturn:
    """Raise SystemExit, which ends this run, not the session."""
    raise SystemExit(code)


def install() -> None:
    """Make the module ``__main__``, and complete the builtins that ``site`` would have added."""
    sys.modules["__main__"] = MAIN
    put(builtins, exit=leave, quit=leave, help=vars(_sitebuiltins)["_Helper"]())
    put(builtins, ToolError=ToolError, CannotSuspendHere=CannotSuspendHere)
