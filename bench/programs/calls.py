"""Function calls: the recursive Fibonacci numbers."""


def fib(n):
    """Return the n-th Fibonacci number, the slow way."""
    return n if n < 2 else fib(n - 1) + fib(n - 2)


result = fib(25)
