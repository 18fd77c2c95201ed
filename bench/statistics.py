"""What many samples say together."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cloche.bench.results import Results

__all__ = ["Summary", "geometric_mean", "machine_noise", "quantile", "ratio", "summary", "summary_of"]

# The half width of a box plot's notch: two medians whose notches do not meet differ at about the 95 % level.
_NOTCH = 1.57


@dataclass(frozen=True)
class Summary:
    """The median of ``count`` samples, with the quartiles, the extremes, and how sure the median is.

    ``noise`` is the half width of the interval in which the median may as well be: from the samples' spread, or from
    how far the rounds' medians are apart if that is more, because rounds far apart in time see a different machine.
    """

    median: float
    low: float
    high: float
    min: float
    max: float
    noise: float
    count: int


def summary(rounds: Sequence[Sequence[float]]) -> Summary:
    """Return the summary of all rounds' samples together. Raises ValueError if there are none."""
    samples = sorted(sample for block in rounds for sample in block)
    low, median, high = (quantile(samples, share) for share in (0.25, 0.5, 0.75))
    medians = [quantile(sorted(block), 0.5) for block in rounds]
    noise = max(_NOTCH * (high - low) / math.sqrt(len(samples)), (max(medians) - min(medians)) / 2)
    return Summary(median, low, high, samples[0], samples[-1], noise, len(samples))


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value that this share of the ordered samples lies below, between samples in proportion.

    Raises ValueError if there are none.
    """
    if not ordered:
        raise ValueError("no samples: a median of nothing")
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def summary_of(results: Results, metric: str, peer: str) -> Summary | None:
    """Return the summary of one metric and peer, or None if it was not measured."""
    rounds = results.rounds(metric, peer)
    return None if rounds is None else summary(rounds)


def machine_noise(results: Results) -> float | None:
    """Return how far the rounds of the baseline, which changes nothing, are apart: a part of the median, in the middle.

    So much of every number is the machine's. None where there was one round only.
    """
    spreads = sorted(
        (max(medians) - min(medians)) / quantile(sorted(medians), 0.5)
        for found in results.measurements
        if found.peer == results.baseline and len(found.rounds) > 1
        if min(medians := [quantile(sorted(block), 0.5) for block in found.rounds]) > 0
    )
    return quantile(spreads, 0.5) if spreads else None


def ratio(results: Results, metric: str, peer: str, base: str) -> float | None:
    """Return the peer's median in terms of the base's, or None where one of them is missing or the base is 0."""
    mine, theirs = summary_of(results, metric, peer), summary_of(results, metric, base)
    if mine is None or theirs is None or theirs.median == 0:
        return None
    return mine.median / theirs.median


def geometric_mean(ratios: Iterable[float]) -> float | None:
    """Return the mean of ratios, in which twice as fast and half as fast cancel out; None of none.

    Raises ValueError for a ratio that is not positive.
    """
    logarithms = [math.log(value) for value in ratios]
    return math.exp(math.fsum(logarithms) / len(logarithms)) if logarithms else None
