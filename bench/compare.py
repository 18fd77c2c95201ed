"""What changed between two runs, beyond noise."""

from dataclasses import dataclass
from typing import Literal

from cloche.bench.metrics import METRICS
from cloche.bench.results import Results
from cloche.bench.statistics import Summary, geometric_mean, summary

__all__ = ["Change", "Verdict", "changes", "drift", "machines_differ"]

Verdict = Literal["better", "worse", "same", "new", "gone"]
# Less than this is never called a change, however quiet the samples were.
_LEAST = 0.03


@dataclass(frozen=True)
class Change:
    """One metric of one peer before and after; ``factor`` is after over before, None if one of them is missing."""

    metric: str
    peer: str
    before: Summary | None
    after: Summary | None
    verdict: Verdict

    @property
    def factor(self) -> float | None:
        """The median after, in terms of the median before."""
        if self.before is None or self.after is None or self.before.median == 0:
            return None
        return self.after.median / self.before.median


def changes(before: Results, after: Results) -> list[Change]:
    """Return every metric and peer that one of them has, in the catalogue's order."""
    old, new = _summaries(before), _summaries(after)
    order = {name: place for place, name in enumerate(METRICS)}
    keys = sorted({*old, *new}, key=lambda key: (order.get(key[0], len(order)), *key))
    return [Change(*key, old.get(key), new.get(key), _verdict(key[0], old.get(key), new.get(key))) for key in keys]


def drift(found: list[Change], baseline: str) -> float | None:
    """Return how much slower the second machine was at the baseline, which is not ours: 1.1 is 10 % slower."""
    return geometric_mean(
        change.factor for change in found if change.peer == baseline and _is_time(change) and change.factor
    )


def machines_differ(before: Results, after: Results) -> list[str]:
    """Return the facts in which the two machines differ, for people."""
    old, new = before.machine, after.machine
    pairs = {name: (getattr(old, name), getattr(new, name)) for name in ("system", "processor", "cores", "python")}
    return [f"{name}: {was} / {now}" for name, (was, now) in pairs.items() if was != now]


def _is_time(change: Change) -> bool:
    return change.metric in METRICS and METRICS[change.metric].unit == "s"


def _summaries(results: Results) -> dict[tuple[str, str], Summary]:
    return {(found.metric, found.peer): summary(found.rounds) for found in results.measurements}


def _verdict(metric: str, before: Summary | None, after: Summary | None) -> Verdict:
    if before is None:
        return "new"
    if after is None:
        return "gone"
    difference = after.median - before.median
    # Both medians are uncertain, and one sample alone says nothing of its spread.
    if abs(difference) <= max(before.noise + after.noise, _LEAST * before.median, _lonely(before, after)):
        return "same"
    lower_is_better = metric not in METRICS or METRICS[metric].lower_is_better
    return "better" if (difference < 0) == lower_is_better else "worse"


def _lonely(before: Summary, after: Summary) -> float:
    return 0.1 * before.median if min(before.count, after.count) == 1 else 0.0
