"""An agent's session: final_answer ends the program, tools keep their names, imports follow a policy.

The policy guides a model and keeps its programs repeatable. It is no wall: the sandbox is.
"""

import builtins
import functools
from collections.abc import Callable
from typing import Any, NoReturn

from cloche_guest.agents.plain_calls import settled
from cloche_guest.calls import is_proxy
from cloche_guest.program import NAMESPACE
from cloche_guest.step import toolbox
from cloche_guest.values import records

__all__ = ["prepare", "reclaim"]

_ENDING = "final_answer"
_OBJECT = ("handle", "kind")
_HOSTS = {"HostObject": _OBJECT, "HostImage": (*_OBJECT, "width", "height", "data")}
_shapes: Any = records
# The function that ends programs; none in a session that is no agent's.
_final: list[Callable[..., Any]] = []


def prepare(allowed: list[str] | None) -> None:
    """Make this session an agent's. ``allowed`` are the modules that programs may import; None for all there are."""
    _final.append(_ending(NAMESPACE[_ENDING]))
    NAMESPACE[_ENDING] = _final[0]
    _shapes._remember = functools.partial(_remembered, _shapes._remember)
    if allowed is not None:
        builtins.__import__ = _restricted(builtins.__import__, allowed)


def reclaim() -> list[str]:
    """Give the tools their names back; return those that were something else."""
    taken: list[str] = []
    for name, proxy in toolbox.defined.items():
        tool = _final[0] if name == _ENDING else proxy
        now = NAMESPACE.get(name, tool)
        if now is not tool and not is_proxy(now):
            taken.append(name)
        NAMESPACE[name] = tool
    return sorted(taken)


def _ending(send: Callable[..., Any]) -> Callable[..., NoReturn]:
    @functools.wraps(send)
    def final_answer(*args: Any, **kwargs: Any) -> NoReturn:
        send(*map(settled, args), **{name: settled(value) for name, value in kwargs.items()})
        # No Exception: an `except Exception` around it is not meant for this.
        raise SystemExit("the final answer was given")

    return final_answer


def _restricted(find: Callable[..., Any], allowed: list[str]) -> Callable[..., Any]:
    def checked(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        by_program = globals is not None and globals.get("__name__") == "__main__"
        if by_program and not any(name == one or name.startswith(f"{one}.") for one in allowed):
            raise ImportError(f"{name!r} may not be imported here; allowed: {', '.join(allowed) or 'nothing'}")
        return find(name, globals, locals, fromlist, level)

    return checked


def _remembered(remember: Callable[[Any], Any], shape: tuple[str, tuple[str, ...]]) -> Any:
    """Return the class for records of this shape; those of the host's objects and images are made when met."""
    name, fields = shape
    if fields != _HOSTS.get(name):
        return remember(shape)
    made = remember(shape)
    made.__repr__ = made.__str__ = _image_text if name == "HostImage" else _object_text
    # Only these two go back to the host; what a program changed of the others does not matter there.
    made.__dataclass_fields__ = {key: made.__dataclass_fields__[key] for key in _OBJECT}
    if name == "HostImage":
        made.size, made.save, made.__bytes__ = property(_size), _save, _content
    made.__getattr__ = _absent
    return made


def _size(image: Any) -> tuple[int, int]:
    return (image.width, image.height)


def _content(image: Any) -> bytes:
    return bytes(image.data)


def _save(image: Any, path: Any, format: str = "PNG") -> None:
    with open(path, "wb") as file:
        file.write(image.data)


def _object_text(record: Any) -> str:
    return f"<{record.kind} {record.handle}: pass it to a function>"


def _image_text(image: Any) -> str:
    return f"<image {image.handle} {image.width}x{image.height}>"


def _absent(record: Any, name: str) -> NoReturn:
    raise AttributeError(f"a {record.kind} of the host has no {name!r} here: pass it to a function that takes it")
