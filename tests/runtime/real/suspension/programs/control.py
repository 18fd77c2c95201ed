# type: ignore  # what a model writes: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Loops, try, except, finally, with, exception groups: each with calls in all of its parts."""

import sys

log = []


class Manager:
    def __init__(self, name, swallows=False):
        self.name, self.swallows = name, swallows

    def __enter__(self):
        log.append(("enter", self.name, ask(1)))
        return ask(2)

    def __exit__(self, kind, error, trace):
        log.append(("exit", self.name, kind and kind.__name__, ask(3)))
        return self.swallows


def handled():
    try:
        log.append(ask(1))
        raise KeyError("x")
    except KeyError as first:
        log.append(ask(2))
        assert sys.exc_info()[1] is first
        try:
            fail("inner")
        except RuntimeError as second:
            assert second.__context__ is first
            log.append((str(second), ask(3)))
        assert sys.exc_info()[1] is first
    finally:
        log.append(ask(4))
        assert sys.exc_info() == (None, None, None)


def through(n):
    if not n:
        return fail("deep")
    try:
        return through(n - 1)
    finally:
        log.append(ask(n))


def looped():
    for i in range(4):
        try:
            if ask(i) == 10:
                continue
            if ask(i) == 20:
                break
        finally:
            log.append(ask(i))
    else:
        log.append("never")
    while ask(i) < 40:
        i += 1
    else:
        log.append("ended")
    return i


handled()
try:
    through(3)
except RuntimeError as error:
    log.append(str(error))
with Manager("a") as entered, Manager("b", swallows=True):
    log.append((entered, ask(5)))
    fail("in with")
with Manager("c"):
    log.append("quiet")
try:
    raise ExceptionGroup("group", [ValueError(1), KeyError(2)])
except* ValueError:
    log.append(ask(6))
except* KeyError:
    log.append(ask(7))
log.append(looped())
try:
    [ask(i) if i < 2 else fail("in a comprehension") for i in range(4)]
except RuntimeError as error:
    log.append(str(error))
log
