"""Run once in a session whose tools are async, after the set-up: they may be called without ``await``, as models do it.

Such a call blocks and returns the value; an awaited one runs beside others.
"""


def _set_up() -> None:
    import builtins
    import functools
    import opcode
    import operator
    import sys
    from typing import Any

    from cloche_guest import calls, tools

    if "_settled" in vars(builtins):
        # In a restored session this was run before.
        return
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

    variables = globals()
    step: Any = sys.modules["cloche_guest.step"]
    toolbox = step._toolbox
    builtins._settled = settled  # type: ignore[attr-defined]
    tools.make_proxy = made
    for name, proxy in toolbox._defined.items():
        if proxy.__code__.co_flags & is_coroutine_code:
            toolbox._defined[name] = variables[name] = either(proxy)


# What programs may not import, this one may.
_checked = __builtins__.__import__
__builtins__.__import__ = getattr(_checked, "__wrapped__", _checked)
try:
    _set_up()
finally:
    __builtins__.__import__ = _checked
del _set_up, _checked
