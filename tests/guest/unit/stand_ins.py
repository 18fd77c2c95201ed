"""What the guest's C functions do, where the prelude is tested natively: every quick way is declined.

Run under the name of a prelude module, so that its frames are left out of tracebacks as those of C code are.
"""

import ast
from types import CodeType
from typing import Any

_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def split(source: str, filename: str) -> list[CodeType]:
    """Compile a program and, apart from it, its last expression."""
    tree: ast.Module = compile(source, filename, "exec", _FLAGS | ast.PyCF_ONLY_AST, True)
    if not tree.body or not isinstance(last := tree.body[-1], ast.Expr):
        return [compile(tree, filename, "exec", _FLAGS, True)]
    tree.body.pop()
    value = compile(ast.Expression(last.value), filename, "eval", _FLAGS, True)
    return [compile(tree, filename, "exec", _FLAGS, True), value] if tree.body else [value]


STAND_INS: dict[str, Any] = {
    "ask": lambda *_: (),
    "pack": lambda *_: None,
    "unpack": lambda _: NotImplemented,
    "split": split,
    "immortalize": lambda _: None,
    "suspend": lambda _: None,
    "blocked_at": lambda: None,
    "settle": lambda _: None,
    "reseed": lambda: None,
    "feed": lambda _: None,
}
