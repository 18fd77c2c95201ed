import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor

order = []
jobs = queue.Queue(2)


def count(i):
    total = 0
    for n in range(8_000):
        total += n
        if n % 1_000 == 0:
            order.append(i)
    return total


def consume():
    while (job := jobs.get()) is not None:
        order.append(job)
        if job % 7 == 0:
            time.sleep(0.001)


threads = [threading.Thread(target=count, args=(i,)) for i in range(2)] + [threading.Thread(target=consume)]
for thread in threads:
    thread.start()
for job in range(20):
    jobs.put(job)
jobs.put(None)
for thread in threads:
    thread.join()
with ThreadPoolExecutor(2) as pool:
    squares = list(pool.map(lambda n: n * n, range(5)))
(order, squares)
