"""Runs once in the guest of each REPL session: from then on the guest itself shows values, as ``>>>`` does.

So a value of any type can be shown, a class of the session's own too, and ``_`` is the last one.
"""


def _show_values() -> None:
    # Imported here, and deleted below: the session begins with an empty namespace.
    import sys
    from types import FunctionType
    from typing import Any

    step: Any = sys.modules["cloche_guest.step"]
    run = step.run

    def run_and_show(source: str, filename: str) -> None:
        sys.displayhook(run(source, filename))

    # With the prelude's name on its globals its frame is, like the prelude's own, left out of tracebacks.
    home = {"__name__": "cloche_guest.repl"}
    step.run = FunctionType(run_and_show.__code__, home, closure=run_and_show.__closure__)


_show_values()
del _show_values
