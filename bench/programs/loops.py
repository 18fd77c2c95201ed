"""Plain loops over small integers: the longest Collatz sequence."""


def steps(n):
    """Return the number of steps from n to 1."""
    count = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        count += 1
    return count


def longest(most):
    """Return the start of the longest sequence, and its steps."""
    best, start = 0, 0
    for n in range(1, most):
        count = steps(n)
        if count > best:
            best, start = count, n
    return [start, best]


result = longest(2500)
