"""A model that repeats a recorded run."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from cloche.agent.models.protocol import Reply
from cloche.agent.models.scripted import ScriptedModel
from cloche.runtime.errors import ConfigurationError

__all__ = ["ReplayModel"]


class ReplayModel(ScriptedModel):
    """Gives the recorded answers in the recorded order, without network.

    ``path`` is a file that :class:`cloche.agent.models.RecordingModel` wrote: one Reply in JSON per line.
    Raises ConfigurationError, naming the line, for a file that is none; ModelRefused when the answers have run out.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(list(_read(Path(path))))


def _read(path: Path) -> Iterator[Reply]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            yield _reply(path, number, line)


def _reply(path: Path, number: int, line: str) -> Reply:
    try:
        return Reply.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]["msg"]
        raise ConfigurationError("path", f"line {number} of {path.name} is no recorded answer ({first})") from error
