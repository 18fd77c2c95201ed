"""Decimal numbers: interest, month by month."""

from decimal import ROUND_HALF_EVEN, Decimal


def work(accounts, months):
    """Return the sum of all accounts after so many months, to the cent."""
    cent = Decimal("0.01")
    rate = Decimal("0.0375") / 12
    total = Decimal(0)
    for number in range(accounts):
        balance = Decimal(number * 137) + Decimal("99.95")
        for month in range(months):
            balance = (balance + balance * rate).quantize(cent, rounding=ROUND_HALF_EVEN)
        total += balance
    return str(total)


result = work(110, 120)
