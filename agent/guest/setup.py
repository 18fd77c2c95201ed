"""Run once in an agent's new session: final_answer ends the program, and imports follow the agent's policy.

The policy guides a model and keeps its programs reproducible. It is no wall: the sandbox is.
"""

import builtins
import functools


def _ending(send):
    @functools.wraps(send)
    def final_answer(*args, **kwargs):
        send(*args, **kwargs)
        # No Exception: the `except Exception` around it is not meant for this.
        raise SystemExit("the final answer was given")

    return final_answer


def _restrict(allowed):
    find = builtins.__import__

    def checked(name, globals=None, locals=None, fromlist=(), level=0):
        by_program = globals is not None and globals.get("__name__") == "__main__"
        if by_program and not any(name == one or name.startswith(one + ".") for one in allowed):
            raise ImportError(f"{name!r} may not be imported here; allowed: {', '.join(allowed) or 'nothing'}")
        return find(name, globals, locals, fromlist, level)

    builtins.__import__ = checked


final_answer = _ending(final_answer)  # noqa: F821
if _allowed_imports is not None:  # noqa: F821
    _restrict(_allowed_imports)  # noqa: F821
del builtins, functools, _ending, _restrict, _allowed_imports  # noqa: F821
