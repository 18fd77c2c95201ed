"""How long everything is measured."""

from dataclasses import dataclass, replace

from cloche.bench.metrics import Metric
from cloche.bench.worker.serving import Block

__all__ = ["QUICK", "STANDARD", "Plan", "Step", "tasks_of"]


@dataclass(frozen=True)
class Step:
    """How one task is measured: so many rounds over all peers, in each a block of samples.

    ``deadline``  seconds that one peer has for its block, opening and warming up included.
    ``spend``     seconds after which a slow peer gets no further round.
    ``alone``     whether each block has a new process, because what it measures would linger.
    """

    rounds: int
    block: Block
    deadline: float = 20.0
    spend: float = 2.0
    alone: bool = False


@dataclass(frozen=True)
class Plan:
    """Steps for the kinds of tasks, and the seconds after which rounds are cut to one, and everything ends."""

    steps: dict[str, Step]
    short_after: float
    end_after: float

    def step(self, task: str) -> Step:
        """Return the step for a task: its own, or that of its kind, which is the name up to the dot."""
        return self.steps.get(task) or self.steps.get(task.partition(".")[0]) or self.steps[""]


def _block(seconds: float, max_samples: int, warm: int) -> Block:
    return {"seconds": seconds, "max_samples": max_samples, "warm": warm}


STANDARD = Plan(
    {
        "": Step(4, _block(0.1, 40, 5)),
        "process": Step(4, _block(0.5, 2, 0)),
        "cold": Step(2, _block(0.0, 1, 0), deadline=300.0, spend=60.0),
        "compute": Step(4, _block(0.08, 3, 0), deadline=2.0, spend=1.0),
        "throughput": Step(2, _block(0.0, 1, 0), spend=4.0),
        "memory": Step(2, _block(0.0, 1, 0), deadline=30.0, spend=6.0, alone=True),
        "live": Step(1, _block(0.0, 1, 0), deadline=40.0, alone=True),
        "waiting": Step(2, _block(0.0, 1, 0), deadline=30.0, alone=True),
        "rest": Step(1, _block(0.0, 1, 0), deadline=180.0, alone=True),
        "burst": Step(3, _block(0.1, 10, 1), spend=4.0, alone=True),
        "busy": Step(2, _block(0.0, 1, 0), deadline=10.0, alone=True),
        "request": Step(1, _block(0.0, 1, 0), deadline=60.0, alone=True),
        "beside": Step(1, _block(0.0, 1, 0), deadline=60.0, alone=True),
    },
    short_after=170.0,
    end_after=235.0,
)
"""All of it within five minutes on two cores."""

QUICK = Plan(
    {name: replace(step, rounds=1, block=_block(0.01, 3, 1)) for name, step in STANDARD.steps.items()},
    short_after=0.0,
    end_after=60.0,
)
"""One short round: to see that everything works, not to trust the numbers."""


def tasks_of(metrics: list[Metric]) -> list[str]:
    """Return the tasks that measure these metrics, each once, in order."""
    return list(dict.fromkeys(metric.task for metric in metrics))
