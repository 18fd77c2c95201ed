"""The command line: ``cloche demo``, ``run``, ``repl`` and ``info``."""

from cloche.cli.command import main

__all__ = ["main"]
