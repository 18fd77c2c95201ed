"""Threads counter."""

import threading, unittest, queue, time


def task(n, k):
    lock = threading.Lock()
    c = {"v": 0}

    def w():
        for _ in range(k):
            with lock:
                c["v"] += 1

    ts = [threading.Thread(target=w, name=f"w{i}") for i in range(n)]
    [t.start() for t in ts]
    [t.join() for t in ts]
    return (c["v"], [t.is_alive() for t in ts])


class T(unittest.TestCase):
    def test(self):
        self.assertEqual(task(4, 100), (400, [False] * 4))

    def test_timer(self):
        hit = []
        t = threading.Timer(0.01, hit.append, [1])
        t.start()
        t.join()
        self.assertEqual(hit, [1])

    def test_timer_cancel(self):
        hit = []
        t = threading.Timer(5, hit.append, [1])
        t.start()
        t.cancel()
        t.join()
        self.assertEqual(hit, [])

    def test_queue(self):
        q = queue.Queue()
        out = []

        def c():
            while True:
                i = q.get()
                if i is None:
                    break
                out.append(i)
                q.task_done()

        t = threading.Thread(target=c, daemon=True)
        t.start()
        for i in range(5):
            q.put(i)
        q.join()
        q.put(None)
        t.join()
        self.assertEqual(out, list(range(5)))

    def test_event(self):
        e = threading.Event()
        out = []
        t = threading.Thread(target=lambda: (e.wait(), out.append(1)))
        t.start()
        e.set()
        t.join()
        self.assertEqual(out, [1])

    def test_barrier(self):
        b = threading.Barrier(2)
        out = []
        ts = [threading.Thread(target=lambda: out.append(b.wait())) for _ in range(2)]
        [t.start() for t in ts]
        [t.join() for t in ts]
        self.assertEqual(sorted(out), [0, 1])

    def test_local(self):
        l = threading.local()
        l.x = 1
        seen = []
        t = threading.Thread(target=lambda: seen.append(hasattr(l, "x")))
        t.start()
        t.join()
        self.assertEqual(seen, [False])

    def test_excepthook(self):
        got = []
        old = threading.excepthook
        threading.excepthook = lambda a: got.append(a.exc_type)
        try:
            t = threading.Thread(target=lambda: 1 / 0)
            t.start()
            t.join()
        finally:
            threading.excepthook = old
        self.assertEqual(got, [ZeroDivisionError])

    def test_condition(self):
        c = threading.Condition()
        items = []
        got = []

        def consumer():
            with c:
                while not items:
                    c.wait()
                got.append(items.pop())

        def producer():
            with c:
                items.append(7)
                c.notify()

        a, b = (threading.Thread(target=consumer), threading.Thread(target=producer))
        a.start()
        b.start()
        a.join()
        b.join()
        self.assertEqual(got, [7])

    def test_semaphore(self):
        s = threading.BoundedSemaphore(2)
        s.acquire()
        s.release()
        with self.assertRaises(ValueError):
            s.release()
