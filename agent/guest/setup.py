"""Run once in an agent's new session: final_answer ends the program, tools keep their names, imports follow a policy.

The policy guides a model and keeps its programs repeatable. It is no wall: the sandbox is.
"""


def _set_up() -> None:
    import builtins
    import functools
    import sys
    from typing import Any

    from cloche_guest.calls import is_proxy

    def ending(send: Any) -> Any:
        @functools.wraps(send)
        def final_answer(*args: Any, **kwargs: Any) -> None:
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

        return checked

    variables = globals()
    step: Any = sys.modules["cloche_guest.step"]
    toolbox = step._toolbox
    final = ending(variables["final_answer"])
    last: list[str] = []

    def written(explain: Any) -> Any:
        def explained(value: Any) -> Any:
            # The last value cannot cross: the model is shown how it writes itself.
            try:
                last[:] = [repr(value)[:20_000]]
            except Exception:
                last.clear()
            return explain(value)

        return explained

    def reclaim() -> list[Any]:
        """Give the tools their names back; return those that were something else, and the last value's repr, if any."""
        taken: list[str] = []
        for name, proxy in toolbox._defined.items():
            tool = final if name == "final_answer" else proxy
            now = variables.get(name, tool)
            if now is not tool and not is_proxy(now):
                taken.append(name)
            variables[name] = tool
        shown = list(last)
        last.clear()
        return [sorted(taken), *shown]

    allowed = variables.pop("_allowed_imports")
    variables["final_answer"] = final
    # Among the builtins a program does not come across it, nor takes its name by chance.
    step._precise = written(step._precise)
    builtins._reclaim_tools = reclaim  # type: ignore[attr-defined]
    if allowed is not None:
        builtins.__import__ = restricted(builtins.__import__, allowed)


_set_up()
del _set_up
