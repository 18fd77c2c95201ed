import time

marks = [time.time() for _ in range(5)]
start = time.monotonic()
time.sleep(0.25)
[marks == sorted(marks), 0.25 <= time.monotonic() - start < 5, time.gmtime(0).tm_year]
