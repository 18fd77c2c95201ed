import sys

lines = []


def trace(frame, event, argument):
    lines.append((event, frame.f_lineno))
    return trace


def produce():
    for i in range(3):
        yield i


def work():
    total = 0
    for x in produce():
        total += x
    while total < 10:
        total += 1
    return total


sys.settrace(trace)
work()
sys.settrace(None)
[len(lines), lines]
