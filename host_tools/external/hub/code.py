"""A tool from its code: a module that is run here, and the one tool in it."""

import ast
import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Mapping
from importlib.abc import SourceLoader
from types import CodeType, ModuleType
from typing import Any

from cloche.host_tools.errors import ToolDefinitionError
from cloche.host_tools.frameworks import adapted
from cloche.host_tools.tools import FunctionTool, Tool

__all__ = ["tool_from_code"]


class _Given(SourceLoader):
    """Loads the source that it is given: what was checked is what runs, and no bytecode is written or read."""

    def __init__(self, where: str, source: bytes) -> None:
        self._where = where
        self._source = source

    def get_filename(self, fullname: str) -> str:
        return self._where

    def get_data(self, path: str) -> bytes:
        return self._source

    def source_to_code(  # type: ignore[override]  # InspectLoader has it as a static method
        self, data: Any, path: Any, *, _optimize: int = -1
    ) -> CodeType:
        """Compile it; most tools of the Hub import smolagents, whose names Cloche has too."""
        tree = ast.parse(data)
        if importlib.util.find_spec(_OTHER) is None:
            for node in ast.walk(tree):
                _import_ours(node)
        return compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)


_OTHER = "smolagents"


def _import_ours(node: ast.AST) -> None:
    if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == _OTHER and not node.level:
        node.module = "cloche"
    elif isinstance(node, ast.Import):
        for name in node.names:
            if name.name == _OTHER:
                name.name, name.asname = "cloche", name.asname or _OTHER


def tool_from_code(where: str, source: bytes, arguments: Mapping[str, Any] | None = None) -> Tool:
    """Run the code of one tool, on this host, and return the tool.

    It defines one Tool, by ``@tool`` or as a class, which is made with ``arguments``; or one of smolagents' tools; or
    one plain function. Where smolagents is not installed, the names that it imports from there are Cloche's.
    Raises ToolDefinitionError if it cannot be run here, or does not define just one.
    """
    module = _run(where, source)
    return _tool(where, _only(where, module), dict(arguments or {}))


def _run(where: str, source: bytes) -> ModuleType:
    digest = hashlib.sha256(where.encode() + source).hexdigest()[:12]
    name = f"cloche_tool_{re.sub(r'[^a-zA-Z0-9]+', '_', where)[-60:]}_{digest}"
    loader = _Given(where, source)
    spec = importlib.util.spec_from_loader(name, loader)
    module = ModuleType(name) if spec is None else importlib.util.module_from_spec(spec)
    # Dataclasses and annotations look their module up.
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, Exception | SystemExit):
            raise _problem(where, _reason(error)) from error
        raise
    return module


def _reason(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"its code needs {error.name}, which is not installed here: see its requirements.txt"
    return f"its code cannot be run ({type(error).__name__}: {error})"[:500]


def _only(where: str, module: ModuleType) -> Any:
    own = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    for kind in (_is_tool, _is_tool_class, _is_function):
        found = [value for value in own.values() if kind(module, value)]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(sorted(name for name, value in own.items() if kind(module, value)))
            raise _problem(where, f"it defines {len(found)} tools ({names}), and a tool's code is one")
    raise _problem(where, "it defines no tool: neither @tool nor a subclass of Tool")


def _is_tool(module: ModuleType, value: Any) -> bool:
    return isinstance(value, Tool) or (not inspect.isclass(value) and _is_foreign(value.__class__))


def _is_tool_class(module: ModuleType, value: Any) -> bool:
    own = inspect.isclass(value) and value.__module__ == module.__name__
    return own and (issubclass(value, Tool) or _is_foreign(value))


def _is_function(module: ModuleType, value: Any) -> bool:
    return inspect.isfunction(value) and value.__module__ == module.__name__


def _is_foreign(kind: type[Any]) -> bool:
    homes = {base.__module__.partition(".")[0] for base in kind.__mro__}
    return "smolagents" in homes and hasattr(kind, "forward")


def _tool(where: str, found: Any, arguments: dict[str, Any]) -> Tool:
    if inspect.isclass(found):
        found = _made(where, found, arguments)
    elif arguments:
        raise _problem(where, "it is a function, and takes no arguments when it is loaded")
    if isinstance(found, Tool):
        return found
    return adapted(found) or FunctionTool(found, typed=False)


def _made(where: str, kind: Any, arguments: dict[str, Any]) -> Any:
    if isinstance(getattr(kind, "inputs", None), str):
        # As some versions of smolagents wrote them.
        kind.inputs = ast.literal_eval(kind.inputs)
    try:
        return kind(**arguments)
    except Exception as error:
        raise _problem(where, f"{kind.__name__} cannot be made ({type(error).__name__}: {error})"[:500]) from error


def _problem(where: str, problem: str) -> ToolDefinitionError:
    return ToolDefinitionError(f"tool of {where}", problem)
