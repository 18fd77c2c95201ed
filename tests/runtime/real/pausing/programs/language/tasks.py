import asyncio


async def work(n):
    total = 0
    async with asyncio.timeout(100):
        for i in range(n):
            total += i
            if i % 7 == 0:
                await asyncio.sleep(0.001)
    return total


async def produce(queue):
    for i in range(20):
        await queue.put(i)
    await queue.put(None)


async def consume(queue):
    return [x async for x in items(queue)]


async def items(queue):
    while (item := await queue.get()) is not None:
        yield item


async with asyncio.TaskGroup() as group:
    tasks = [group.create_task(work(30 + k)) for k in range(5)]
queue = asyncio.Queue(3)
both = await asyncio.gather(produce(queue), consume(queue))
[[task.result() for task in tasks], both]
