"""Run once in an agent's new session: final_answer ends the program, tools keep their names, imports follow a policy.

Async tools may also be called without ``await``, as models write it: such a call blocks and returns the value. The
policy guides a model and keeps its programs repeatable. It is no wall: the sandbox is.
"""


def _set_up() -> None:
    import builtins
    import dataclasses
    import functools
    import opcode
    import operator
    import sys
    from typing import Any

    from cloche_guest import calls, tools
    from cloche_guest.calls import is_proxy
    from cloche_guest.values import records

    awaits, drops = opcode.opmap["GET_AWAITABLE"], opcode.opmap["POP_TOP"]
    is_coroutine_code = 0x80

    def use_of(frame: Any) -> int:
        """Return the instruction that gets what this frame's call returns."""
        code = frame.f_code.co_code
        # Behind the call itself there may be empty places, which the interpreter keeps for itself.
        following = frame.f_lasti + 2
        while following < len(code) and code[following] == 0:
            following += 2
        return code[following] if following < len(code) else 0

    def knows_async(frame: Any) -> bool:
        """Return whether the program that makes the call has to do with asyncio, in this frame or further out."""
        while frame is not None and frame.f_globals.get("__name__") == "__main__":
            code = frame.f_code
            if code.co_flags & is_coroutine_code or "asyncio" in code.co_names:
                return True
            frame = frame.f_back
        return False

    class Waiting:
        """A call of an async tool that may yet be awaited: a coroutine, and its value as soon as it is used as one."""

        def __init__(self, name: str, start: Any, block: Any) -> None:
            self._name, self._start, self._block = name, start, block
            self._coroutine: Any = None
            self._known: list[Any] = []

        def _inner(self) -> Any:
            if self._coroutine is None:
                self._coroutine = self._start()
            return self._coroutine

        def _value(self) -> Any:
            if not self._known:
                if self._coroutine is not None:
                    raise RuntimeError(f"{self._name}() runs in the background already: await it")
                self._known.append(self._block())
            return self._known[0]

        def __await__(self) -> Any:
            return known(self._known[0]).__await__() if self._known else self._inner().__await__()

        def send(self, value: Any) -> Any:
            return self._inner().send(value)

        def throw(self, *error: Any) -> Any:
            return self._inner().throw(*error)

        def close(self) -> None:
            if self._coroutine is not None:
                self._coroutine.close()

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return getattr(self._value(), name)

        def __del__(self) -> None:
            self.close()
            if self._coroutine is None and not self._known:
                print(f"{self._name}() was never called, as its result was not used", file=sys.stderr)

    def settled(value: Any) -> Any:
        return value._value() if isinstance(value, Waiting) else value  # pyright: ignore[reportPrivateUsage]

    async def known(value: Any) -> Any:
        return value

    def forwarded(function: Any, swapped: bool = False) -> Any:
        def method(self: Any, *args: Any) -> Any:
            values = [self._value(), *map(settled, args)]
            return function(*(reversed(values) if swapped else values))

        return method

    for name in ("str", "repr", "len", "iter", "bool", "int", "float", "format"):
        setattr(Waiting, f"__{name}__", forwarded(getattr(builtins, name)))
    for name in ("eq", "ne", "lt", "le", "gt", "ge", "contains", "getitem", "index"):
        setattr(Waiting, f"__{name}__", forwarded(getattr(operator, f"__{name}__")))
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or"):
        function = getattr(operator, f"__{name}__")
        setattr(Waiting, f"__{name}__", forwarded(function))
        setattr(Waiting, f"__r{name}__", forwarded(function, swapped=True))
    # As a coroutine's: asyncio.gather keeps what it was given in a dict.
    Waiting.__hash__ = object.__hash__  # type: ignore[method-assign]

    def either(background: Any) -> Any:
        """Return the function of an async tool: awaited it runs beside others, called plainly it blocks."""
        name, shape = background.__name__, background.__wrapped__
        blocking = calls.caller(name, shape)

        @functools.wraps(background)
        def call(*args: Any, **kwargs: Any) -> Any:
            shape(*args, **kwargs)
            frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
            use = use_of(frame)
            if use == awaits:
                return background(*args, **kwargs)
            if use != drops and knows_async(frame):
                start = functools.partial(background, *args, **kwargs)
                return Waiting(name, start, functools.partial(blocking, *args, **kwargs))
            return blocking(*args, **kwargs)

        # As a plain tool has it: for asyncio.to_thread.
        both: Any = call
        calls.remember(both, lambda: background)
        return both

    make_proxy: Any = tools.make_proxy

    def made(spec: Any) -> Any:
        proxy = make_proxy(spec)
        return either(proxy) if spec["async"] else proxy

    def ending(send: Any) -> Any:
        @functools.wraps(send)
        def final_answer(*args: Any, **kwargs: Any) -> None:
            send(*map(settled, args), **{name: settled(value) for name, value in kwargs.items()})
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

    @dataclasses.dataclass(repr=False)
    class HostObject:
        """An object that stays on the host: functions take it, and it cannot be looked into."""

        handle: str
        kind: str

        def __repr__(self) -> str:
            return f"<{self.kind} {self.handle}: pass it to a function>"

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(f"a {self.kind} of the host has no {name!r} here: pass it to a function that takes it")

    @dataclasses.dataclass(repr=False)
    class HostImage:
        """An image: ``data`` is a PNG, ``width`` and ``height`` are pixels. Printed, it is shown to the model."""

        handle: str
        kind: str

        def __repr__(self) -> str:
            return f"<image {self.handle} {self.width}x{self.height}>"

        @property
        def size(self) -> tuple[int, int]:
            return (self.width, self.height)

        def __bytes__(self) -> bytes:
            return bytes(self.data)

        def save(self, path: Any, format: str = "PNG") -> None:
            with open(path, "wb") as file:
                file.write(self.data)

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(f"an image has no {name!r} here: pass it to a function, or read its data")

    # What comes from the host under these names gets these classes; only their own two fields go back.
    shapes = vars(records)["_shapes"]
    shapes["HostObject", ("handle", "kind")] = HostObject
    shapes["HostImage", ("handle", "kind", "width", "height", "data")] = HostImage
    tools.make_proxy = made
    for name, proxy in toolbox._defined.items():
        if proxy.__code__.co_flags & is_coroutine_code:
            toolbox._defined[name] = variables[name] = either(proxy)
    allowed = variables.pop("_allowed_imports")
    variables["final_answer"] = final
    # Among the builtins a program does not come across it, nor takes its name by chance.
    builtins._reclaim_tools = reclaim  # type: ignore[attr-defined]
    if allowed is not None:
        builtins.__import__ = restricted(builtins.__import__, allowed)


_set_up()
del _set_up
