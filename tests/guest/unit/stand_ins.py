"""What the guest's C functions do, where the prelude is tested natively: every quick way is declined.

Run under the name of a prelude module, so that its frames are left out of tracebacks as those of C code are.
"""

import ast
import ctypes
import os
import sys
from inspect import CO_COROUTINE
from types import CodeType, FunctionType
from typing import Any, NoReturn

_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def compiled(source: str, filename: str) -> CodeType:
    """Compile a program into code whose value is that of its last expression."""
    tree: ast.Module = compile(source, filename, "exec", _FLAGS | ast.PyCF_ONLY_AST, True)
    if not tree.body or not isinstance(last := tree.body[-1], ast.Expr):
        whole: CodeType = compile(tree, filename, "exec", _FLAGS, True)
        return whole
    tree.body.pop()
    value = compile(ast.Expression(last.value), filename, "eval", _FLAGS, True)
    return _joined(compile(tree, filename, "exec", _FLAGS, True), value)


def _joined(body: CodeType, value: CodeType) -> CodeType:
    """Return code that evaluates one after the other, and awaits each that awaits."""
    awaits = (body.co_flags | value.co_flags) & CO_COROUTINE
    shape: Any = _both_awaited if awaits else _both
    inside = {"evaluate": _evaluate_awaited if awaits else _evaluate, "body": body, "value": value}
    code: CodeType = shape.__code__
    return code.replace(co_consts=tuple([inside.get(str(each), each) for each in code.co_consts]))


def _both() -> Any:
    run: Any = "evaluate"
    run("body")
    return run("value")


async def _both_awaited() -> Any:
    run: Any = "evaluate"
    await run("body")
    return await run("value")


def _evaluate(code: CodeType) -> Any:
    return FunctionType(code, sys._getframe(1).f_globals)()  # pyright: ignore[reportPrivateUsage]


async def _evaluate_awaited(code: CodeType) -> Any:
    result = FunctionType(code, sys._getframe(1).f_globals)()  # pyright: ignore[reportPrivateUsage]
    return await result if code.co_flags & CO_COROUTINE else result


def _refuse(*_: Any) -> NoReturn:
    raise RuntimeError("can't start new thread: the stand-in has none")


STAND_INS: dict[str, Any] = {
    "ask": lambda *_: (),
    "duplicate": lambda fd, to: os.dup(fd) if to < 0 else os.dup2(fd, to),
    "getrefcount": sys.getrefcount,
    "pack": lambda *_: None,
    "unpack": lambda _: NotImplemented,
    "compile": compiled,
    "immortalize": lambda _: None,
    "suspend": lambda _: None,
    "blocked_at": lambda: None,
    "settle": lambda _: None,
    "cluster": lambda _: None,
    "seed_later": lambda generator: generator.seed(),
    "reseed": lambda: None,
    "feed": lambda _: None,
    "spawn": _refuse,
    "unpark": lambda _: False,
    "count_threads": lambda: 0,
    "is_alive": lambda _: False,
    "threads": list,
    "interrupt": lambda: None,
    "settle_threads": lambda _: None,
    "enter_context": lambda context: ctypes.pythonapi.PyContext_Enter(ctypes.py_object(context)),
    "exit_context": lambda context: ctypes.pythonapi.PyContext_Exit(ctypes.py_object(context)),
    "substitute": lambda *_: None,
    "begin_count": lambda: 0,
    "end_count": lambda _: None,
    "uncount": lambda: None,
    "sort_by": lambda *_: None,
    "begin_sum": lambda _: None,
    "begin_dict": lambda: None,
    "begin_frozenset": lambda: None,
    "get_terminal_size": os.get_terminal_size,
    "begin_step": lambda *_: None,
    "end_step": lambda *_: None,
    "fail_step": lambda *_: None,
}
