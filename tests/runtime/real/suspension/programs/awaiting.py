# type: ignore  # what a model writes: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Awaited calls: several at once, in task groups, with locks, queues and timers, and of plain tools in threads."""

import asyncio


async def work(i):
    mine = ["w", i]
    a = await aask(i)
    async with asyncio.Lock():
        b = await aask(a + 1)
    assert mine == ["w", i]
    return a, b


async def slept(i):
    await asyncio.sleep(0.001)
    return await aask(i)


async def failing():
    try:
        await afail("asked")
    except RuntimeError as error:
        return str(error), await aask(1)


async def numbers(n):
    for i in range(n):
        yield await aask(i)


async def grouped():
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work(i)) for i in range(3)]
        extra = group.create_task(slept(4))
    return [task.result() for task in tasks], extra.result()


async def queued():
    queue = asyncio.Queue()

    async def produce():
        for i in range(3):
            await queue.put(await aask(i))

    task = asyncio.create_task(produce())
    got = [await queue.get() for _ in range(3)]
    await task
    return got


async def cancelled():
    task = asyncio.create_task(aask(1))
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return "cancelled"


async def timed():
    async with asyncio.timeout(60):
        return await asyncio.wait_for(asyncio.gather(aask(5), aask(6)), 60)


together = await asyncio.gather(*(work(i) for i in range(4)), asyncio.to_thread(ask, 7))
[
    together,
    await grouped(),
    await queued(),
    await failing(),
    [value async for value in numbers(3)],
    await cancelled(),
    await timed(),
]
