"""A block: the samples that one peer gives before it is the next one's turn."""

from time import perf_counter
from typing import TypedDict

from cloche.bench.tasks.base import Sample

__all__ = ["Block", "take_block"]


class Block(TypedDict):
    """How long a block is: it ends after ``seconds`` or ``most`` samples, and has at least one.

    ``warm`` samples are thrown away before it; a peer whose samples take longer than the block warms up once.
    """

    seconds: float
    most: int
    warm: int


def take_block(sample: Sample, block: Block) -> dict[str, list[float]]:
    """Return the samples by metric."""
    _repeat(sample, block["warm"], block["seconds"], {})
    found: dict[str, list[float]] = {}
    _repeat(sample, block["most"], block["seconds"], found)
    return found


def _repeat(sample: Sample, most: int, seconds: float, found: dict[str, list[float]]) -> None:
    until = perf_counter() + seconds
    for count in range(most):
        if count and perf_counter() >= until:
            return
        for metric, value in sample().items():
            found.setdefault(metric, []).append(value)
