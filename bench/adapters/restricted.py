"""RestrictedPython: programs compiled with guards around attributes, items and writes, then run by ``exec``."""

from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

from cloche.bench.adapters.base import MODULES, Run, Runner

__all__ = ["RestrictedAdapter"]

_restricted: Any = import_module("RestrictedPython")
_guards: Any = import_module("RestrictedPython.Guards")
_eval: Any = import_module("RestrictedPython.Eval")


class RestrictedAdapter(Runner):
    """The package's own guards, its safe and utility builtins, harmless ones of Python's, and imports from a list."""

    value = ""

    def fresh(self, code: str) -> Any:
        """Run with new globals."""
        return _run(self._names(), code)

    @contextmanager
    def session(self) -> Generator[Run, None, None]:
        """Run with the same globals."""
        yield partial(_run, self._names())

    def _names(self) -> dict[str, Any]:
        return {
            "__builtins__": _BUILTINS,
            "__name__": "program",
            "__metaclass__": type,
            "_getattr_": _guards.safer_getattr,
            "_getitem_": _eval.default_guarded_getitem,
            "_getiter_": _eval.default_guarded_getiter,
            "_iter_unpack_sequence_": _guards.guarded_iter_unpack_sequence,
            "_unpack_sequence_": _guards.guarded_unpack_sequence,
            "_write_": _guards.full_write_guard,
            "_inplacevar_": _inplace,
            **self.tools,
        }


def _run(names: dict[str, Any], code: str) -> Any:
    exec(_restricted.compile_restricted(code, "<program>", "exec"), names)  # noqa: S102 - this is how the peer runs code
    return names.get("result")


def _import(name: str, *rest: Any) -> Any:
    if name not in MODULES:
        raise ImportError(f"{name} is not allowed")
    return __import__(name, *rest)


def _inplace(operator: str, left: Any, right: Any) -> Any:
    """Serve ``left += right``, which the package leaves to its user."""
    return _INPLACE[operator](left, right)


_operator: Any = import_module("operator")
_INPLACE = {
    f"{sign}=": getattr(_operator, name)
    for sign, name in {
        "+": "iadd", "-": "isub", "*": "imul", "/": "itruediv", "//": "ifloordiv", "%": "imod", "**": "ipow",
        "<<": "ilshift", ">>": "irshift", "&": "iand", "|": "ior", "^": "ixor", "@": "imatmul",
    }.items()
}  # fmt: skip
_HARMLESS = ("all", "any", "dict", "enumerate", "list", "max", "min", "range", "set", "sorted", "sum")
_BUILTINS = {
    **_guards.safe_builtins,
    **_restricted.utility_builtins,
    **{name: getattr(import_module("builtins"), name) for name in _HARMLESS},
    "__import__": _import,
}
