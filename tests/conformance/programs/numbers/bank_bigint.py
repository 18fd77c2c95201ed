"""Bank bigint."""

import unittest, heapq, collections, math, itertools


def dijkstra(g, s):
    d = {s: 0}
    q = [(0, s)]
    while q:
        c, u = heapq.heappop(q)
        if c > d[u]:
            continue
        for v, w in g.get(u, {}).items():
            if c + w < d.get(v, math.inf):
                d[v] = c + w
                heapq.heappush(q, (c + w, v))
    return d


def primes(n):
    s = bytearray([1]) * (n + 1)
    s[:2] = b"\x00\x00"
    for i in range(2, int(n**0.5) + 1):
        if s[i]:
            s[i * i :: i] = bytes(len(s[i * i :: i]))
    return [i for i, x in enumerate(s) if x]


def lcs(a, b):
    t = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            t[i + 1][j + 1] = t[i][j] + 1 if x == y else max(t[i][j + 1], t[i + 1][j])
    return t[-1][-1]


class T(unittest.TestCase):
    def test(self):
        self.assertEqual(dijkstra({"a": {"b": 1, "c": 4}, "b": {"c": 2}}, "a"), {"a": 0, "b": 1, "c": 3})
        self.assertEqual(len(primes(200000)), 17984)
        self.assertEqual(lcs("abcde" * 40, "ace" * 40), 120)

    def test_perm(self):
        self.assertEqual(sum((1 for _ in itertools.permutations(range(8)))), 40320)
