"""Run once in an agent's new session: final_answer ends the program, tools keep their names, imports follow a policy.

The policy guides a model and keeps its programs repeatable. It is no wall: the sandbox is.
"""


def _set_up() -> None:
    import builtins
    import functools
    import sys
    from typing import Any

    from cloche_guest.calls import is_proxy
    from cloche_guest.values import records

    def ending(send: Any) -> Any:
        @functools.wraps(send)
        def final_answer(*args: Any, **kwargs: Any) -> None:
            settled = vars(builtins).get("_settled")
            if settled is not None:
                # Calls of async tools that are not awaited: see waiting.py.
                args, kwargs = tuple(map(settled, args)), {name: settled(value) for name, value in kwargs.items()}
            send(*args, **kwargs)
            # No Exception: an `except Exception` around it is not meant for this.
            raise SystemExit("the final answer was given")

        return final_answer

    def restricted(find: Any, allowed: list[str]) -> Any:
        def checked(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
            by_program = globals is not None and globals.get("__name__") == "__main__"
            if by_program and not any(name == one or name.startswith(f"{one}.") for one in allowed):
                raise ImportError(f"{name!r} may not be imported here; allowed: {', '.join(allowed) or 'nothing'}")
            return find(name, globals, locals, fromlist, level)

        # For the agent's own programs: waiting.py.
        vars(checked)["__wrapped__"] = find
        return checked

    variables = globals()
    step: Any = sys.modules["cloche_guest.step"]
    toolbox = step._toolbox
    final = ending(variables["final_answer"])

    def reclaim() -> list[str]:
        """Give the tools their names back; return those that were something else."""
        taken: list[str] = []
        for name, proxy in toolbox._defined.items():
            tool = final if name == "final_answer" else proxy
            now = variables.get(name, tool)
            if now is not tool and not is_proxy(now):
                taken.append(name)
            variables[name] = tool
        return sorted(taken)

    def remembered(shape: Any) -> Any:
        """Return the class for records of this shape; those of the host's objects and images are made when met."""
        name, fields = shape
        if name not in hosts or fields != hosts[name]:
            return remember(shape)
        made = remember(shape)
        made.__repr__ = made.__str__ = hosts_repr[name]
        # Only these two go back to the host; what a program changed of the others does not matter there.
        made.__dataclass_fields__ = {key: made.__dataclass_fields__[key] for key in ("handle", "kind")}
        if name == "HostImage":
            made.size, made.save, made.__bytes__ = property(size), saved, content
        made.__getattr__ = absent
        return made

    def size(self: Any) -> tuple[int, int]:
        return (self.width, self.height)

    def content(self: Any) -> bytes:
        return bytes(self.data)

    def saved(self: Any, path: Any, format: str = "PNG") -> None:
        with open(path, "wb") as file:
            file.write(self.data)

    def object_text(self: Any) -> str:
        return f"<{self.kind} {self.handle}: pass it to a function>"

    def image_text(self: Any) -> str:
        return f"<image {self.handle} {self.width}x{self.height}>"

    def absent(self: Any, name: str) -> Any:
        raise AttributeError(f"a {self.kind} of the host has no {name!r} here: pass it to a function that takes it")

    hosts = {"HostObject": ("handle", "kind"), "HostImage": ("handle", "kind", "width", "height", "data")}
    hosts_repr = {"HostObject": object_text, "HostImage": image_text}
    shapes: Any = records
    remember, shapes._remember = shapes._remember, remembered
    allowed = variables.pop("_allowed_imports")
    variables["final_answer"] = final
    # Among the builtins a program does not come across it, nor takes its name by chance.
    builtins._reclaim_tools = reclaim  # type: ignore[attr-defined]
    if allowed is not None:
        builtins.__import__ = restricted(builtins.__import__, allowed)


_set_up()
del _set_up
