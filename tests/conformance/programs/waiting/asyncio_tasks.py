"""Asyncio tasks."""

import asyncio, unittest, time
from unittest.mock import AsyncMock, patch


async def work(x):
    await asyncio.sleep(0.001)
    return x * 2


async def task(xs):
    return await asyncio.gather(*(work(x) for x in xs))


class T(unittest.TestCase):
    def test(self):
        self.assertEqual(asyncio.run(task([1, 2])), [2, 4])

    def test_loop(self):
        l = asyncio.new_event_loop()
        try:
            self.assertEqual(l.run_until_complete(task([3])), [6])
        finally:
            l.close()

    def test_timeout(self):

        async def f():
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.sleep(10), 0.01)

        asyncio.run(f())

    def test_group(self):

        async def f():
            async with asyncio.TaskGroup() as g:
                a = g.create_task(work(1))
                b = g.create_task(work(2))
            return a.result() + b.result()

        self.assertEqual(asyncio.run(f()), 6)

    def test_queue(self):

        async def f():
            q = asyncio.Queue(2)
            out = []

            async def p():
                for i in range(5):
                    await q.put(i)
                await q.put(None)

            async def c():
                while (i := (await q.get())) is not None:
                    out.append(i)

            await asyncio.gather(p(), c())
            return out

        self.assertEqual(asyncio.run(f()), [0, 1, 2, 3, 4])

    def test_to_thread(self):
        self.assertEqual(asyncio.run(asyncio.to_thread(sum, [1, 2])), 3)

    def test_exec(self):

        async def f():
            return await asyncio.get_running_loop().run_in_executor(None, sum, [1, 2])

        self.assertEqual(asyncio.run(f()), 3)

    def test_mock(self):
        m = AsyncMock(return_value=3)
        self.assertEqual(asyncio.run(m()), 3)
        m.assert_awaited_once()

    def test_sub(self):

        async def f():
            p = await asyncio.create_subprocess_exec("ls", stdout=asyncio.subprocess.PIPE)
            return (await p.communicate())[0]

        with patch("asyncio.create_subprocess_exec", new_callable=AsyncMock) as m:
            m.return_value.communicate = AsyncMock(return_value=(b"x", b""))
            self.assertEqual(asyncio.run(f()), b"x")

    def test_cancel(self):

        async def f():
            t = asyncio.create_task(asyncio.sleep(9))
            await asyncio.sleep(0)
            t.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await t

        asyncio.run(f())

    def test_sem(self):

        async def f():
            s = asyncio.Semaphore(2)
            m = [0, 0]

            async def w():
                async with s:
                    m[0] += 1
                    m[1] = max(m[1], m[0])
                    await asyncio.sleep(0)
                    m[0] -= 1

            await asyncio.gather(*(w() for _ in range(6)))
            return m[1]

        self.assertEqual(asyncio.run(f()), 2)


class A(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.x = await work(1)

    async def test_a(self):
        self.assertEqual(self.x, 2)
        self.assertEqual(await task([1]), [2])

    async def test_streams_fail(self):
        with self.assertRaises(OSError):
            await asyncio.open_connection("127.0.0.1", 1)
