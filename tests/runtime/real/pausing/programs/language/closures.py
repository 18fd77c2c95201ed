def counter():
    n = 0

    def step(by=1):
        nonlocal n
        n += by
        return n

    return step


steps = [counter() for _ in range(5)]
[step(i) for i, step in enumerate(steps) for _ in range(4)]
