"""Runs once in the guest of each REPL session: from then on the guest itself shows values, as ``>>>`` does.

So a value of any type can be shown, a class of the session's own too, and ``_`` is the last one.
"""


def _show_values() -> None:
    # Imported here, and deleted below: the session begins with an empty namespace.
    import sys
    from typing import Any

    step: Any = sys.modules["cloche_guest.step"]
    run = step.run

    def run_and_show(source: str, filename: str) -> None:
        sys.displayhook(run(source, filename))

    step.run = run_and_show


_show_values()
del _show_values
