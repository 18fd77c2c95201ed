import contextlib

log = []


class Manager:
    def __init__(self, name):
        self.name = name

    def __enter__(self):
        log.append(f"enter {self.name}")
        return self

    def __exit__(self, kind, error, trace):
        log.append(f"exit {self.name} {kind and kind.__name__}")
        return kind is ValueError


@contextlib.contextmanager
def managed(n):
    for i in range(n):
        log.append(i)
    try:
        yield n
    finally:
        log.append("done")


for i in range(4):
    with Manager("a") as a, Manager("b"), managed(3) as n:
        if i % 2:
            raise ValueError(a.name * n)
with contextlib.ExitStack() as stack:
    for i in range(5):
        stack.enter_context(Manager(i))
log
