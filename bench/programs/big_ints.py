"""Big integers: factorials, powers and the digits of pi."""


def factorial(n):
    """Return n!."""
    product = 1
    for factor in range(2, n + 1):
        product *= factor
    return product


def pi_digits(count):
    """Return the first digits of pi, by Machin's formula in fixed point."""
    unity = 10 ** (count + 10)

    def arctan(inverse):
        term = unity // inverse
        total, divisor, sign = term, 3, -1
        while term:
            term //= inverse * inverse
            total += sign * (term // divisor)
            divisor, sign = divisor + 2, -sign
        return total

    return str((4 * (4 * arctan(5) - arctan(239))) // 10**10)


def work():
    """Return the ends of a few large numbers."""
    return [str(factorial(900) % 10**300)[:10], str(pow(3, 20011, 10**301 + 7) % 10**12), pi_digits(3500)[-10:]]


result = work()
