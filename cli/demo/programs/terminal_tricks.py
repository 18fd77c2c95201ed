# type: ignore  # model-written: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Raise an error whose text tries to clear the reader's screen and to pass for markup."""

raise ValueError("\x1b[2J\x1b[H[bold green]all checks passed[/bold green] \u202egnp.exe")
