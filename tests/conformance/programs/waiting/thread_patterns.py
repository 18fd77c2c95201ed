"""Thread patterns."""

import threading, queue, time, unittest, contextvars, concurrent.futures as cf


class T(unittest.TestCase):
    def test_producer_consumer(self):
        q = queue.Queue(maxsize=2)
        out = []

        def prod():
            for i in range(6):
                q.put(i)
            q.put(None)

        def cons():
            while (i := q.get()) is not None:
                out.append(i)

        ts = [threading.Thread(target=prod), threading.Thread(target=cons)]
        [t.start() for t in ts]
        [t.join() for t in ts]
        self.assertEqual(out, list(range(6)))

    def test_stop_event(self):
        stop = threading.Event()
        n = []

        def w():
            while not stop.is_set():
                n.append(1)
                time.sleep(0.001)

        t = threading.Thread(target=w)
        t.start()
        time.sleep(0.02)
        stop.set()
        t.join()
        self.assertTrue(n)

    def test_daemon(self):
        t = threading.Thread(target=time.sleep, args=(5,), daemon=True)
        t.start()
        self.assertTrue(t.is_alive())
        self.assertTrue(t.daemon)

    def test_ping(self):
        a, b = (threading.Event(), threading.Event())
        out = []

        def x():
            for i in range(3):
                a.wait()
                a.clear()
                out.append("x")
                b.set()

        def y():
            for i in range(3):
                b.wait()
                b.clear()
                out.append("y")
                a.set()

        ts = [threading.Thread(target=x), threading.Thread(target=y)]
        [t.start() for t in ts]
        a.set()
        [t.join() for t in ts]
        self.assertEqual(out, ["x", "y"] * 3)

    def test_rlock(self):
        l = threading.RLock()
        with l:
            with l:
                pass

    def test_names(self):
        self.assertEqual(threading.current_thread().name, "MainThread")
        self.assertIs(threading.main_thread(), threading.current_thread())
        self.assertEqual(threading.active_count() >= 1, True)
        t = threading.Thread()
        self.assertTrue(t.name.startswith("Thread-"))

    def test_sub(self):

        class W(threading.Thread):
            def run(self):
                self.r = 5

        w = W()
        w.start()
        w.join()
        self.assertEqual(w.r, 5)
        self.assertRaises(RuntimeError, w.start)

    def test_prio(self):
        q = queue.PriorityQueue()
        [q.put(x) for x in (3, 1, 2)]
        self.assertEqual([q.get() for _ in range(3)], [1, 2, 3])
        self.assertRaises(queue.Empty, q.get_nowait)
        self.assertRaises(queue.Empty, q.get, True, 0.01)

    def test_lock_timeout(self):
        l = threading.Lock()
        l.acquire()
        r = []
        t = threading.Thread(target=lambda: r.append(l.acquire(timeout=0.01)))
        t.start()
        t.join()
        self.assertEqual(r, [False])

    def test_deadlock_pool(self):
        with cf.ThreadPoolExecutor(2) as p:
            f1 = p.submit(lambda: 1)
            f2 = p.submit(lambda: f1.result() + 1)
            self.assertEqual(f2.result(), 2)

    def test_stdout(self):
        import io, contextlib

        o = io.StringIO()
        with contextlib.redirect_stdout(o):
            ts = [threading.Thread(target=print, args=(i,)) for i in range(3)]
            [t.start() for t in ts]
            [t.join() for t in ts]
        self.assertEqual(sorted(o.getvalue().split()), ["0", "1", "2"])
