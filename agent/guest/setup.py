"""Run once in an agent's new session: final_answer ends the program, and imports follow the agent's policy.

The policy guides a model and keeps its programs repeatable. It is no wall: the sandbox is.
"""


def _set_up() -> None:
    import builtins
    import functools
    from typing import Any

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
    allowed = variables.pop("_allowed_imports")
    variables["final_answer"] = ending(variables["final_answer"])
    if allowed is not None:
        builtins.__import__ = restricted(builtins.__import__, allowed)


_set_up()
del _set_up
