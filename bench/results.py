"""The results, as they are written to a file and read again. These models are the file's schema."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

__all__ = [
    "AbsentPeer",
    "FailedMeasurement",
    "MachineFacts",
    "Measurement",
    "NoResults",
    "PeerFacts",
    "Results",
    "load",
    "save",
]

Positive = Annotated[float, Field(allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MachineFacts(_Model):
    """Where the numbers come from."""

    system: str
    processor: str
    cores: int
    memory: int
    """Bytes."""
    python: str
    load: float | None
    """Processes that wanted to run when it began, as the system's one-minute average."""


class PeerFacts(_Model):
    """One peer that was measured."""

    name: str
    title: str
    isolation: str
    python: str
    versions: dict[str, str]


class AbsentPeer(_Model):
    """One peer that was not measured, and why."""

    name: str
    reason: str


class Measurement(_Model):
    """One metric of one peer: its samples, in the rounds in which they were taken."""

    metric: str
    peer: str
    unit: Literal["s", "B", "1/s", "n"]
    rounds: Annotated[list[Annotated[list[Positive], Field(min_length=1)]], Field(min_length=1)]


class FailedMeasurement(_Model):
    """One metric that a peer could not give, with the peer's own error."""

    metric: str
    peer: str
    type: str
    message: str


class Results(_Model):
    """One run of the benchmark."""

    format: Literal[1]
    """The number of this shape; another shape gets another number."""
    created: str
    """When it began: ISO 8601, in UTC."""
    cloche: str
    """The version."""
    image: str
    """The guest image's SHA-256 in hexadecimal, or an empty text where there is none."""
    quick: bool
    """Whether this was a short run, whose numbers say little."""
    seconds: float
    baseline: str
    machine: MachineFacts
    peers: list[PeerFacts]
    absent: list[AbsentPeer]
    measurements: list[Measurement]
    failures: list[FailedMeasurement]

    def rounds(self, metric: str, peer: str) -> list[list[float]] | None:
        """Return the samples of one metric and peer by rounds, or None if there are none."""
        for found in self.measurements:
            if (found.metric, found.peer) == (metric, peer):
                return found.rounds
        return None

    def failure(self, metric: str, peer: str) -> FailedMeasurement | None:
        """Return why there are no samples, if it is known."""
        return next((failure for failure in self.failures if (failure.metric, failure.peer) == (metric, peer)), None)


class NoResults(ValueError):
    """A file that holds no results. The message says where and what."""


def save(results: Results, path: Path) -> None:
    """Write the results as JSON. Raises OSError."""
    path.write_text(results.model_dump_json(indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> Results:
    """Read results. Raises OSError, or NoResults if the file does not fit the schema."""
    try:
        return Results.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise NoResults(f"{path} holds no results of cloche bench: {place}: {first['msg']}") from None
