"""What somebody says to the tool calls that a suspended program waits for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypedDict, Unpack

__all__ = ["Replies", "ReplyOptions"]


class ReplyOptions(TypedDict, total=False):
    """The replies to calls, by their ids; see :meth:`cloche.agent.multistep.MultiStepAgent.resume`."""

    approve: Iterable[int]
    deny: Mapping[int, str]
    values: Mapping[int, Any]
    errors: Mapping[int, BaseException]


@dataclass(frozen=True, slots=True)
class Replies:
    """Replies as keywords of :meth:`cloche.runtime.suspension.suspended.Suspended.resume`; none where it is empty."""

    options: dict[str, Any]

    @classmethod
    def of(cls, **options: Unpack[ReplyOptions]) -> Self:
        """Return these replies."""
        approve = tuple(options.get("approve", ()))
        return cls({name: value for name, value in {**options, "approve": approve}.items() if value})

    def __bool__(self) -> bool:
        return bool(self.options)
