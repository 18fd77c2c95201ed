# type: ignore  # model-written: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Pay an order: the process ends where an approval is waited for, and another one resumes in the middle of the loop."""


def baskets():
    yield "Ann's", ["tea", "kettle"]
    yield "Bob's", ["cup"]


receipts = []
for shop, items in baskets():
    total = sum(price(item=item) for item in items)
    try:
        receipts.append(pay(amount=total, to=shop) if total > 10 else f"{total} put on the bill of {shop}")
    except PermissionError as error:
        receipts.append(str(error))

receipts
