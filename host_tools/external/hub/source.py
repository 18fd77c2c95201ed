"""The code of one tool, as a file that can be loaded elsewhere."""

import ast
import builtins
import inspect
import symtable
import sys
import textwrap
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

from cloche.host_tools.errors import ToolDefinitionError
from cloche.host_tools.schema_tool import SchemaTool
from cloche.host_tools.tools import Tool

__all__ = ["requirements_of", "tool_source"]


def tool_source(tool: Tool) -> str:
    """Return the tool's function or class with the imports it needs.

    It has to stand by itself: other names of its module would not be there where it is loaded.
    Raises ToolDefinitionError that names them, or says why there is no source.
    """
    target = _target(tool)
    source = _source(tool, target)
    imports = [_import(tool, name, value) for name, value in _needed(tool, target, source)]
    head = "\n".join(sorted(set(imports)))
    return f"{head}\n\n\n{source}" if head else source


def requirements_of(source: str) -> list[str]:
    """Return the packages that code imports, as pip knows them, without the standard library."""
    modules = {name.partition(".")[0] for node in ast.walk(ast.parse(source)) for name in _imported(node)}
    outside = modules - sys.stdlib_module_names
    # Imported here: it costs more than all the rest of this package.
    known = import_module("importlib.metadata").packages_distributions()
    return sorted({known.get(module, [module])[0] for module in outside} | {"cloche"})


def _target(tool: Tool) -> Any:
    if isinstance(tool, SchemaTool):
        raise _problem(tool, "it was made elsewhere, and its code is not here: share it from there")
    return getattr(tool, "__wrapped__", type(tool))


def _source(tool: Tool, target: Any) -> str:
    if getattr(target, "__name__", "<lambda>") == "<lambda>":
        raise _problem(tool, "it has no definition to write down: use def and @tool")
    try:
        return textwrap.dedent(inspect.getsource(target))
    except (OSError, TypeError) as error:
        raise _problem(tool, f"its source cannot be read ({error}): define it in a file") from error


def _needed(tool: Tool, target: Any, source: str) -> Iterator[tuple[str, Any]]:
    around = getattr(target, "__globals__", None) or vars(sys.modules[target.__module__])
    free = _free(symtable.symtable(source, "<tool>", "exec"), top=True)
    for name in sorted(free - {target.__name__}):
        if name in around:
            yield name, around[name]
        elif not hasattr(builtins, name):
            raise _problem(
                tool, f"it uses {name!r} of the function around it: make it an argument, or define it inside"
            )


def _free(table: symtable.SymbolTable, *, top: bool = False) -> set[str]:
    """Return the names that are looked up outside of the code."""
    own = {
        symbol.get_name()
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (symbol.is_global() or top) and not (top and symbol.is_assigned())
    }
    return own.union(*(_free(child) for child in table.get_children()))


def _import(tool: Tool, name: str, value: Any) -> str:
    if isinstance(value, ModuleType):
        return f"import {value.__name__}" if value.__name__ == name else f"import {value.__name__} as {name}"
    called = getattr(value, "__qualname__", None) or getattr(value, "__name__", "")
    for module in _homes(getattr(value, "__module__", None) or "", getattr(tool, "__module__", "")):
        if isinstance(called, str) and getattr(import_module(module), called, None) is value:
            return f"from {module} import {called}" + ("" if called == name else f" as {name}")
    raise _problem(tool, f"it uses {name!r} of its module, which would not be there: define it inside")


def _homes(module: str, own: str) -> Iterator[str]:
    """Yield where a thing may be imported from, the shortest first: its own home may be a private one."""
    parts = module.split(".") if module not in ("", "__main__", own) else []
    for length in range(1, len(parts) + 1):
        yield ".".join(parts[:length])


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []


def _problem(tool: Tool, problem: str) -> ToolDefinitionError:
    return ToolDefinitionError(f"tool {tool.name!r}", f"it cannot be shared: {problem}")
