import gc
import weakref

dead = []


class Node:
    def __del__(self):
        dead.append(len(dead))


refs = []
for i in range(800):
    a, b = Node(), Node()
    a.other, b.other = b, a
    if i % 50 == 0:
        refs.append(weakref.ref(a, lambda _: dead.append("ref")))
del a, b
gc.collect()
[len(dead), dead.count("ref"), [ref() for ref in refs]]
