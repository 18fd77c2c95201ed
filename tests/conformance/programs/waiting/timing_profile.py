"""Timing profile."""

import timeit, cProfile, pstats, io, time, unittest, sched, trace, sys


class T(unittest.TestCase):
    def test_timeit(self):
        self.assertGreater(timeit.timeit("sum(range(10))", number=100), 0)

    def test_prof(self):
        p = cProfile.Profile()
        p.enable()
        sorted(range(100))
        p.disable()
        s = io.StringIO()
        pstats.Stats(p, stream=s).sort_stats("cumulative").print_stats()
        self.assertIn("function calls", s.getvalue())
        self.assertIn("built-in method builtins.sorted", s.getvalue())

    def test_sched(self):
        out = []
        s = sched.scheduler(time.time, time.sleep)
        s.enter(0.01, 1, out.append, ("b",))
        s.enter(0, 1, out.append, ("a",))
        s.run()
        self.assertEqual(out, ["a", "b"])

    def test_sleep(self):
        a = time.time()
        time.sleep(0.02)
        self.assertGreaterEqual(time.time() - a, 0.019)

    def test_trace(self):
        seen = []

        def tr(f, e, a):
            seen.append(e)
            return tr

        def g():
            return 1

        sys.settrace(tr)
        g()
        sys.settrace(None)
        self.assertIn("line", seen)
