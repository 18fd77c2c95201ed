"""A call that is about to be made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["PlannedCall"]


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """What a policy judges: exactly what the tool will be given if it is allowed.

    ``arguments`` are checked and converted, by parameter, defaults filled in. They are the host's own objects,
    out of the program's reach, so what was approved is what happens.
    """

    tool: str
    arguments: Mapping[str, Any]
    agent: str = ""
    step: int | None = None
    run: str = ""
