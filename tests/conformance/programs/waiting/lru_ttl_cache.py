"""Lru ttl cache."""

import collections, time, unittest, functools, weakref, threading, pickle, json, os, tempfile


class LRU(collections.OrderedDict):
    def __init__(self, cap):
        super().__init__()
        self.cap = cap

    def __getitem__(self, k):
        self.move_to_end(k)
        return super().__getitem__(k)

    def __setitem__(self, k, v):
        super().__setitem__(k, v)
        if len(self) > self.cap:
            del self[next(iter(self))]


class T(unittest.TestCase):
    def test(self):
        c = LRU(2)
        c["a"] = 1
        c["b"] = 2
        c["a"]
        c["c"] = 3
        self.assertEqual(list(c), ["a", "c"])

    def test_disk(self):
        p = os.path.join(tempfile.mkdtemp(), "c.pkl")
        pickle.dump({"k": {1, 2}}, open(p, "wb"))
        self.assertEqual(pickle.load(open(p, "rb")), {"k": {1, 2}})

    def test_method(self):

        class C:
            n = 0

            @functools.lru_cache(maxsize=2)
            def f(self, x):
                C.n += 1
                return x

        c = C()
        c.f(1)
        c.f(1)
        self.assertEqual(C.n, 1)
        self.assertEqual(C.f.cache_info().hits, 1)
        C.f.cache_clear()

    def test_threadsafe(self):

        @functools.lru_cache
        def f(x):
            return x * 2

        ts = [threading.Thread(target=f, args=(i,)) for i in range(5)]
        [t.start() for t in ts]
        [t.join() for t in ts]
        self.assertEqual(f.cache_info().misses, 5)
