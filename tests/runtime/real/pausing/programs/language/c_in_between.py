import functools
import itertools


def square(x):
    return sum(x for _ in range(x))


cached = functools.lru_cache(maxsize=8)(square)
partial = functools.partial(max, 3)
[
    list(map(square, range(12))),
    functools.reduce(lambda a, b: a + square(b), range(8)),
    sorted(range(12), key=lambda x: square(x) % 5),
    [cached(i % 6) for i in range(30)],
    list(filter(lambda x: square(x) % 2, range(10))),
    [len(list(g)) for _, g in itertools.groupby(range(20), key=lambda x: x // 6)],
    partial(square(2)),
    any(square(i) > 20 for i in range(9)),
    ",".join(str(square(i)) for i in range(9)),
    eval("[square(i) for i in range(5)]"),
]
