"""Loop thread."""

import asyncio, threading, unittest


class T(unittest.TestCase):
    def test_threadsafe(self):

        async def m():
            loop = asyncio.get_running_loop()
            f = loop.create_future()
            threading.Thread(target=lambda: loop.call_soon_threadsafe(f.set_result, 1)).start()
            return await f

        self.assertEqual(asyncio.run(m()), 1)

    def test_loop_in_thread(self):
        loop = asyncio.new_event_loop()
        t = threading.Thread(target=loop.run_forever, daemon=True)
        t.start()
        f = asyncio.run_coroutine_threadsafe(asyncio.sleep(0.01, 7), loop)
        self.assertEqual(f.result(5), 7)
        loop.call_soon_threadsafe(loop.stop)
        t.join(5)
