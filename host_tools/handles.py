"""Objects of the host that programs pass from tool to tool without being able to look inside: handles."""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from cloche.host_tools.errors import ToolRejected
from cloche.runtime.threads import close_unawaited
from cloche.runtime.values import UnserializableError, encode
from cloche.runtime.values.containers import plain_class

__all__ = ["PLAIN", "Handles", "HostImage", "HostObject", "Later", "is_image"]

_MAX_OBJECTS = 1_000
# Of what is looked through for objects: a table of a million rows is no place for them.
_MAX_ITEMS = 500
_MAX_DEPTH = 4
_MAX_IMAGE = 4 << 20
PLAIN = frozenset({type(None), bool, int, float, str, bytes})
"""Types of values that hold no objects."""
_CONTAINERS = frozenset({list, tuple, dict})


@dataclass(frozen=True, slots=True)
class HostObject:
    """What a program gets for an object that cannot leave the host: its ``kind`` is the object's class."""

    handle: str
    kind: str

    def __str__(self) -> str:
        return f"<{self.kind} {self.handle}: pass it to a function>"


@dataclass(frozen=True, slots=True)
class HostImage:
    """What a program gets for an image: ``data`` is the PNG's bytes, empty if there are more than 4 MiB of them."""

    handle: str
    kind: str
    width: int
    height: int
    data: bytes

    def __str__(self) -> str:
        return f"<image {self.handle} {self.width}x{self.height}>"


class Later(Coroutine[Any, Any, Any]):
    """A coroutine around ``value``. Closed before its first step, it closes that: nothing is left unawaited."""

    __slots__ = ("_steps", "value")

    def __init__(self, value: Awaitable[Any]) -> None:
        self.value = value
        self._steps: Generator[Any, Any, Any] | None = None

    def steps(self) -> Generator[Any, Any, Any]:
        """Await the value and return what comes of it."""
        raise NotImplementedError

    def __await__(self) -> Generator[Any, Any, Any]:
        if self._steps is None:
            self._steps = self.steps()
        return self._steps

    def send(self, value: Any, /) -> Any:
        """Do the next step."""
        return self.__await__().send(value)

    def throw(self, *error: Any) -> Any:
        """Do the next step, which begins with an exception."""
        return self.__await__().throw(*error)

    def close(self) -> None:
        """End it."""
        if self._steps is not None:
            self._steps.close()
        else:
            close_unawaited(self.value)


class _ShownLater(Later):
    """Awaits a tool's value and shows it."""

    def __init__(self, handles: "Handles", value: Awaitable[Any]) -> None:
        super().__init__(value)
        self._handles = handles

    def steps(self) -> Generator[Any, Any, Any]:
        """Await the value, and show it."""
        return self._handles.shown((yield from self.value.__await__()))


class Handles:
    """The objects that stay on the host, by their handles. Safe to use from several threads.

    A handle can only be had with its object, as it is a random word: a program reaches nothing by inventing one. The
    latest 1,000 objects are kept.
    """

    def __init__(self) -> None:
        self.objects: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    def shown(self, value: Any) -> Any:
        """Return what a program gets for a tool's value: itself if it can cross, handles for what in it cannot."""
        if type(value) in PLAIN:
            return value
        budget = [_MAX_ITEMS]
        return self._replaced(value, self._shown_leaf, budget, _MAX_DEPTH)

    def shown_later(self, value: Awaitable[Any]) -> Awaitable[Any]:
        """Like :meth:`shown`, for what is awaited."""
        return _ShownLater(self, value)

    def resolved(self, value: Any) -> Any:
        """Return arguments with the objects in place of their handles. Raises ToolRejected for one that is gone."""
        return self._replaced(value, self._resolved_leaf, [_MAX_ITEMS], _MAX_DEPTH)

    def get(self, handle: str) -> Any:
        """Return an object by its handle, None if there is none."""
        with self._lock:
            return self.objects.get(handle)

    def clear(self) -> None:
        """Forget all objects."""
        with self._lock:
            self.objects.clear()

    def _replaced(self, value: Any, leaf: Callable[[Any], Any], budget: list[int], depth: int) -> Any:
        kind: Any = plain_class(value)
        if kind not in _CONTAINERS:
            return leaf(value)
        if (known := leaf(value)) is not value:
            return known
        budget[0] -= len(value)
        if not value or depth == 0 or budget[0] < 0:
            return value
        items = list(value.values()) if kind is dict else value
        changed = [self._replaced(item, leaf, budget, depth - 1) for item in items]
        if all(new is old for new, old in zip(changed, items, strict=True)):
            return value
        return _made(kind, zip(value, changed, strict=True) if kind is dict else changed)

    def _shown_leaf(self, value: Any) -> Any:
        if type(value) in PLAIN or type(value) in _CONTAINERS:
            return value
        if is_image(value):
            return self._image(value)
        try:
            encode(value)
        except UnserializableError:
            return HostObject(self._keep("obj", value), type(value).__name__)
        except Exception:  # too large, say: the bridge has the words for it
            return value
        return value

    def _resolved_leaf(self, value: Any) -> Any:
        # A record of the guest comes back as a dict, a model that calls by schema writes the handle itself.
        fields: dict[str, Any] = value if plain_class(value) is dict else {}
        handle = value if isinstance(value, str) else fields.get("handle")
        if not isinstance(handle, str) or handle[:4] not in ("obj-", "img-"):
            return value
        with self._lock:
            if handle in self.objects:
                return self.objects[handle]
        if "kind" in fields:
            raise ToolRejected("ValueError", f"the object {handle[:20]} is not there any more: have it made anew")
        return value

    def _image(self, image: Any) -> HostImage:
        file = BytesIO()
        image.save(file, format="PNG")
        data = file.getvalue()
        width, height = image.size
        shown = data if len(data) <= _MAX_IMAGE else b""
        return HostImage(self._keep("img", image), "image", int(width), int(height), shown)

    def _keep(self, prefix: str, value: Any) -> str:
        handle = f"{prefix}-{secrets.token_hex(4)}"
        with self._lock:
            self.objects[handle] = value
            while len(self.objects) > _MAX_OBJECTS:
                self.objects.popitem(last=False)
        return handle


def is_image(value: Any) -> bool:
    """Return whether a value is an image of PIL's, which this module does not need."""
    home = type(value).__module__.partition(".")[0]
    return home == "PIL" and hasattr(value, "save") and hasattr(value, "size")


def _made(kind: Callable[[Any], Any], content: Any) -> Any:
    return kind(content)
