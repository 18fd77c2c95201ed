"""Generators: pipelines of them, and one that calls itself."""


def primes():
    """Give the prime numbers, for ever."""
    found = []
    number = 2
    while True:
        if all(number % prime for prime in found if prime * prime <= number):
            found.append(number)
            yield number
        number += 1


def flat(depth, width):
    """Give the leaves of a tree."""
    if depth == 0:
        yield width
    else:
        for child in range(width):
            yield from flat(depth - 1, child + 1)


def work(count):
    """Add up what a few generators give."""
    total = 0
    for index, prime in enumerate(primes()):
        if index == count:
            break
        total += prime
    squares = (number * number for number in range(20000))
    odd = (number for number in squares if number % 2)
    return [total, sum(odd), sum(flat(7, 5))]


result = work(600)
