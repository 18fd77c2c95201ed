import itertools
import operator

[
    list(itertools.accumulate(range(20), operator.mul, initial=1))[:8],
    list(itertools.islice(itertools.permutations("abcd"), 9)),
    [list(g) for _, g in itertools.groupby("aabbbcc")],
    list(itertools.chain.from_iterable([i] * i for i in range(6))),
    list(zip(range(5), "abcde", strict=True)),
    [x for x in itertools.takewhile(lambda x: x < 5, itertools.count())],
    dict(enumerate(reversed("xyz"))),
]
