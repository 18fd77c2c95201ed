"""Tools by reference: ``module:name``, as the command line takes them."""

import importlib
import inspect
from types import ModuleType
from typing import Any

from cloche.host_tools.errors import ToolDefinitionError
from cloche.host_tools.tools import FunctionTool, Tool

__all__ = ["from_object"]


def from_object(reference: str) -> Tool:
    """Import ``module:name`` (or ``module:thing.name``) and return it as a Tool.

    It may be a Tool, a subclass of Tool that needs no arguments, or a function, annotated or not. The module is
    imported as Python finds it, so its code runs. Raises ToolDefinitionError that says which step failed.
    """
    module_name, separator, path = reference.partition(":")
    if not (separator and module_name and path):
        raise _error(reference, "write it as module:function, for example shop.tools:lookup")
    found = _walk(reference, _import(reference, module_name), path)
    return _tool(reference, found)


def _import(reference: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:  # importing runs the module's own code
        raise _error(reference, f"the module {name!r} cannot be imported ({type(error).__name__}: {error})") from error


def _walk(reference: str, module: ModuleType, path: str) -> Any:
    found: Any = module
    for part in path.split("."):
        if not hasattr(found, part):
            raise _error(reference, f"{_described(found)} has no {part!r}{_offer(found)}")
        found = getattr(found, part)
    return found


def _tool(reference: str, found: Any) -> Tool:
    if inspect.isclass(found) and issubclass(found, Tool):
        try:
            return found()
        except TypeError as error:
            raise _error(reference, f"{found.__name__} needs arguments; name an object of it instead") from error
    if isinstance(found, Tool):
        return found
    if not callable(found):
        raise _error(reference, f"it is a {type(found).__name__}, not a function or a Tool")
    return FunctionTool(found, typed=False)


def _described(found: Any) -> str:
    return f"the module {found.__name__!r}" if isinstance(found, ModuleType) else repr(type(found).__name__)


def _offer(found: Any) -> str:
    """Name what the reference could have meant: the module's own public functions and classes."""
    if not isinstance(found, ModuleType):
        return ""
    names = sorted(name for name, value in vars(found).items() if _is_own(found, name, value))
    return f"; it has {', '.join(names[:8])}" if names else ""


def _is_own(module: ModuleType, name: str, value: Any) -> bool:
    return callable(value) and not name.startswith("_") and getattr(value, "__module__", "") == module.__name__


def _error(reference: str, problem: str) -> ToolDefinitionError:
    return ToolDefinitionError(f"tool {reference!r}", problem)
