# type: ignore  # what a model writes: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Functions, methods, closures, recursion, comprehensions and lambdas."""


def plain(x, *rest, key=1, **more):
    before = [x, rest]
    value = ask(x) + key
    assert before == [x, rest]
    return value, rest, more


class Account:
    total = 0

    def __init__(self, start, *extra, bonus=0, **more):
        self.start = ask(start) + bonus

    def method(self, x):
        return self.start + ask(x)

    @classmethod
    def of_class(cls, x):
        return cls.__name__, ask(x)

    @staticmethod
    def of_none(x):
        return ask(x)


class Slots:
    __slots__ = ("value",)

    def __init__(self):
        self.value = ask(6)


def outer():
    total = 0

    def inner(x):
        nonlocal total
        total += ask(x)
        return total

    inner(1)
    inner(2)
    return total


def deep(n):
    here = [n]
    value = deep(n - 1) + 1 if n else ask(1)
    assert here == [n]
    return value


def decorated(function):
    def wrapper(*args, **kwargs):
        return ask(1) + function(*args, **kwargs)

    return wrapper


@decorated
def wrapped(x):
    return ask(x)


def limit(n=0):
    try:
        return limit(n + 1)
    except RecursionError:
        return n


before = limit()
bound = Account(1).method
[
    plain(1),
    plain(2, 3, key=4, z=5),
    bound(2),
    Account(3, 4, bonus=1).start,
    [Account(i).method(i) for i in range(3)],
    Account.of_class(4),
    Account(0).of_none(5),
    Slots().value,
    outer(),
    deep(200),
    wrapped(3),
    (lambda x: ask(x) + 1)(4),
    [ask(i) for i in range(4) if ask(i)],
    {i: ask(i) for i in range(3)},
    sorted({ask(i) for i in range(3)}),
    [[ask(i) + j for j in range(2)] for i in range(2)],
    before == limit(),
]
