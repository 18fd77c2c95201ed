# type: ignore  # what a model writes: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Generators driven by for: also nested, delegating, with exceptions being handled, and given up early."""


def count(n):
    for i in range(n):
        yield ask(i)


def delegating(n):
    yield from count(n)
    yield ask(9)
    yield from count(n)


def deep(n):
    if not n:
        yield ask(1)
        return
    for value in deep(n - 1):
        yield value + 1


def handling():
    try:
        raise IndexError("x")
    except IndexError as error:
        yield ask(1), str(error)
        yield ask(2), str(error)


out = [value for value in count(3)]
out += [(a, b) for a in count(2) for b in count(2)]
for value in delegating(2):
    out.append(ask(value))
for value in deep(100):
    out.append(value)
try:
    raise OSError("outer")
except OSError:
    for value in handling():
        out.append((value, ask(3)))
left = count(5)
for value in left:
    if ask(value):
        break
for value in left:
    out.append(("rest", value))
first, *others = [value for value in count(3)]
out, first, others
