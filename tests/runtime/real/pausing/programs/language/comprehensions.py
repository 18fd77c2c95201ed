rows = [[i * j for j in range(6)] for i in range(6)]
flat = {value: i for i, row in enumerate(rows) for value in row if value % 2}
lazy = (x + y for x in range(5) for y in range(x))
[flat, {len(str(v)) for v in flat}, list(lazy), [*range(3), *(v for v in "ab")], {**{"a": 1}, **{"b": 2}}]
