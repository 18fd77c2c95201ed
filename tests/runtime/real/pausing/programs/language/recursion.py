def deep(n=0):
    try:
        return deep(n + 1)
    except RecursionError:
        return n


def ackermann(m, n):
    if m == 0:
        return n + 1
    return ackermann(m - 1, 1 if n == 0 else ackermann(m, n - 1))


def hanoi(n, a="a", b="b", c="c"):
    return [] if n == 0 else [*hanoi(n - 1, a, c, b), (a, c), *hanoi(n - 1, b, a, c)]


[deep(), deep(), ackermann(2, 4), len(hanoi(6))]
