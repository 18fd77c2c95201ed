import sys

monitor, seen = sys.monitoring, []
events = monitor.events
watched = events.LINE | events.JUMP | events.BRANCH | events.PY_START | events.PY_RESUME | events.PY_YIELD
monitor.use_tool_id(2, "watch")
for event in (events.LINE, events.JUMP, events.BRANCH, events.PY_START, events.PY_RESUME, events.PY_YIELD):
    monitor.register_callback(2, event, lambda code, *args: seen.append((code.co_name, *args)))


def produce():
    for i in range(4):
        yield i


def work():
    total = 0
    for x in produce():
        total += x
    while total < 12:
        total += 1
    return total


monitor.set_events(2, watched)
work()
monitor.set_events(2, 0)
monitor.free_tool_id(2)
[len(seen), list(map(str, seen))]
