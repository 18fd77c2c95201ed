from decimal import Decimal, localcontext
from fractions import Fraction

with localcontext() as context:
    context.prec = 40
    total = Decimal(0)
    for i in range(1, 80):
        total += Decimal(1) / Decimal(i)
    root = total.sqrt()
[str(total), str(root), str(sum((Fraction(1, i) for i in range(1, 20)), Fraction(0)))]
