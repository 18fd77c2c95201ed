"""Context vars."""

import contextvars, asyncio, unittest, threading

v = contextvars.ContextVar("v", default=0)


class T(unittest.TestCase):
    def test(self):

        async def w(n):
            v.set(n)
            await asyncio.sleep(0)
            return v.get()

        async def m():
            return await asyncio.gather(w(1), w(2))

        self.assertEqual(asyncio.run(m()), [1, 2])
        self.assertEqual(v.get(), 0)

    def test_copy(self):
        c = contextvars.copy_context()
        c.run(v.set, 5)
        self.assertEqual((v.get(), c[v]), (0, 5))

    def test_thread(self):
        out = []
        v.set(3)
        t = threading.Thread(target=lambda: out.append(v.get()))
        t.start()
        t.join()
        v.set(0)
        self.assertEqual(out, [0])
