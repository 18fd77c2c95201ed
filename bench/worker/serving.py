"""The worker's loop: one JSON request on a line, one JSON answer on a line, with a block of samples."""

import json
import platform
import sysconfig
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter
from typing import Any, TextIO, TypedDict

from cloche.bench.adapters.base import Runner
from cloche.bench.tasks.base import Sample, Task
from cloche.bench.tasks.catalogue import TASKS

__all__ = ["Block", "Server", "serve", "take_block"]

Make = Callable[[Mapping[str, Callable[..., Any]]], Runner]


class Block(TypedDict):
    """How long a block is: it ends after ``seconds`` or ``max_samples`` samples, and has at least one.

    ``warm`` samples are thrown away before it; a peer whose samples take longer than the block warms up once.
    """

    seconds: float
    max_samples: int
    warm: int


def take_block(sample: Sample, block: Block) -> dict[str, list[float]]:
    """Return the samples by metric."""
    _repeat(sample, block["warm"], block["seconds"], {})
    found: dict[str, list[float]] = {}
    _repeat(sample, block["max_samples"], block["seconds"], found)
    return found


def _repeat(sample: Sample, max_samples: int, seconds: float, found: dict[str, list[float]]) -> None:
    until = perf_counter() + seconds
    for count in range(max_samples):
        if count and perf_counter() >= until:
            return
        for metric, value in sample().items():
            found.setdefault(metric, []).append(value)


class Server:
    """Keeps one task open on one peer, and takes blocks of samples."""

    def __init__(self, make: Make, tasks: Mapping[str, Task] = TASKS) -> None:
        self._make = make
        self._tasks = tasks
        self._name = ""
        self._open = ExitStack()
        self._sample: Sample | None = None

    def answer(self, request: Any) -> dict[str, Any]:
        """Return the samples, or the error in the peer's own words."""
        try:
            return {"samples": take_block(self._sampler(request["task"]), request["block"])}
        except Exception as error:  # whatever a peer raises is its result
            self.close()
            return {"error": {"type": type(error).__name__, "message": str(error)}}

    def close(self) -> None:
        """Close the task that is open."""
        self._name, self._sample = "", None
        self._open.close()

    def _sampler(self, name: str) -> Sample:
        if self._sample is None or self._name != name:
            self.close()
            task = self._tasks[name]
            runner = self._make(task.tools)
            self._open.callback(runner.close)
            self._sample = self._open.enter_context(task.open(runner))
            self._name = name
        return self._sample


def serve(adapter: str, distributions: list[str], requests: TextIO, answers: TextIO) -> None:
    """Say hello with the versions, or what is missing; then answer until the requests end."""
    module, _, name = adapter.partition(":")
    try:
        kind: type[Runner] = getattr(import_module(module), name)
        if kind.package:
            import_module(kind.package)
    except ImportError as error:
        _say(answers, {"missing": str(error)})
        return
    server = Server(kind)
    _say(answers, {"python": _python(), "versions": _versions(distributions)})
    for line in requests:
        _say(answers, server.answer(json.loads(line)))
    server.close()


def _say(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _python() -> str:
    """Say which interpreter this is and how it was optimised: ratios to it mean nothing without that."""
    flags = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    made = [name for flag, name in (("--enable-optimizations", "PGO"), ("--with-lto", "LTO")) if flag in flags]
    level = next((part for part in str(sysconfig.get_config_var("OPT")).split() if part.startswith("-O")), "")
    return " ".join([platform.python_implementation(), platform.python_version(), level, *made]).strip()


def _versions(distributions: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
