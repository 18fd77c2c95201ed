def collatz(n):
    steps = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps


def primes(n):
    sieve = [True] * n
    for i in range(2, int(n**0.5) + 1):
        if sieve[i]:
            sieve[i * i :: i] = [False] * len(range(i * i, n, i))
    return [i for i in range(2, n) if sieve[i]]


[max(range(1, 300), key=collatz), sum(primes(600)), 3**200 % 1_000_007, divmod(-7, 2), round(2.5), 0.1 + 0.2]
