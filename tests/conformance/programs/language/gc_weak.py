"""Gc weak."""

import gc, weakref, sys, unittest, tracemalloc


class N:
    pass


class T(unittest.TestCase):
    def test(self):
        a = N()
        a.self = a
        r = weakref.ref(a)
        del a
        gc.collect()
        self.assertIsNone(r())

    def test_ref(self):
        x = []
        self.assertEqual(sys.getrefcount(x), 2)

    def test_fin(self):
        out = []
        a = N()
        weakref.finalize(a, out.append, 1)
        del a
        self.assertEqual(out, [1])

    def test_malloc(self):
        tracemalloc.start()
        x = [bytes(1000) for _ in range(100)]
        c, p = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        self.assertGreater(p, 100000)

    def test_wvd(self):
        d = weakref.WeakValueDictionary()
        a = N()
        d["a"] = a
        self.assertEqual(len(d), 1)
        del a
        self.assertEqual(len(d), 0)
