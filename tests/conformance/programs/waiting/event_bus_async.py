"""Event bus async."""

import asyncio, collections, unittest, contextlib, signal, time, weakref


class Bus:
    def __init__(self):
        self.h = collections.defaultdict(list)

    def on(self, n):

        def d(f):
            self.h[n].append(f)
            return f

        return d

    async def emit(self, n, *a):
        return await asyncio.gather(*(f(*a) for f in self.h[n]), return_exceptions=True)


class T(unittest.IsolatedAsyncioTestCase):
    async def test(self):
        b = Bus()

        @b.on("x")
        async def one(v):
            return v + 1

        @b.on("x")
        async def two(v):
            raise ValueError(v)

        r = await b.emit("x", 1)
        self.assertEqual(r[0], 2)
        self.assertIsInstance(r[1], ValueError)

    async def test_timeout(self):
        with self.assertRaises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(5)

    async def test_wait(self):
        ts = [asyncio.create_task(asyncio.sleep(d, d)) for d in (0, 5)]
        d, p = await asyncio.wait(ts, return_when=asyncio.FIRST_COMPLETED)
        self.assertEqual((len(d), len(p)), (1, 1))
        [t.cancel() for t in p]

    async def test_ctx(self):

        @contextlib.asynccontextmanager
        async def m():
            yield 3

        async with m() as v, contextlib.AsyncExitStack() as s:
            self.assertEqual(v, 3)

    async def test_lock(self):
        l = asyncio.Lock()
        out = []

        async def w(i):
            async with l:
                out.append(i)
                await asyncio.sleep(0)
                out.append(i)

        await asyncio.gather(w(1), w(2))
        self.assertEqual(out, [1, 1, 2, 2])

    async def test_cond(self):
        c = asyncio.Condition()
        r = []

        async def w():
            async with c:
                await c.wait()
                r.append(1)

        t = asyncio.create_task(w())
        await asyncio.sleep(0)
        async with c:
            c.notify_all()
        await t
        self.assertEqual(r, [1])

    async def test_as_completed(self):
        self.assertEqual(
            [await f for f in asyncio.as_completed([asyncio.sleep(0.5, "b"), asyncio.sleep(0, "a")])], ["a", "b"]
        )

    async def test_shield(self):
        self.assertEqual(await asyncio.shield(asyncio.sleep(0, 4)), 4)

    async def test_call_later(self):
        f = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.001, f.set_result, 9)
        self.assertEqual(await f, 9)

    async def test_group_error(self):

        async def bad():
            raise KeyError("k")

        with self.assertRaises(ExceptionGroup) as c:
            async with asyncio.TaskGroup() as g:
                g.create_task(bad())
                g.create_task(asyncio.sleep(5))
        self.assertIsInstance(c.exception.exceptions[0], KeyError)

    async def test_thread(self):
        self.assertEqual(await asyncio.to_thread(lambda: 5), 5)
        self.assertEqual(
            await asyncio.wrap_future(__import__("concurrent.futures").futures.ThreadPoolExecutor().submit(lambda: 6)),
            6,
        )

    def test_old(self):
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            self.assertIs(asyncio.get_event_loop(), loop)
            t = loop.create_task(asyncio.sleep(0, 2))
            self.assertEqual(loop.run_until_complete(t), 2)
        finally:
            loop.close()
            asyncio.set_event_loop(None)

    def test_runner(self):
        with asyncio.Runner() as r:
            self.assertEqual(r.run(asyncio.sleep(0, 1)), 1)

    def test_nested(self):

        async def m():
            asyncio.run(asyncio.sleep(0))

        with self.assertRaisesRegex(RuntimeError, "asyncio.run\\(\\) cannot be called from a running event loop"):
            asyncio.run(m())
