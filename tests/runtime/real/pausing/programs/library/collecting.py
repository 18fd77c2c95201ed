import bisect
import collections
import heapq

words = "the quick brown fox jumps over the lazy dog and the cat".split() * 5
counts = collections.Counter(words)
groups = collections.defaultdict(list)
for word in words:
    groups[len(word)].append(word)
heap = [(-n, w) for w, n in counts.items()]
heapq.heapify(heap)
order = collections.OrderedDict((w, i) for i, w in enumerate(words))
order.move_to_end("the")
line = []
for word in words:
    bisect.insort(line, word)
[
    counts.most_common(3),
    {k: len(v) for k, v in groups.items()},
    [heapq.heappop(heap) for _ in range(4)],
    list(order),
    line[::7],
]
