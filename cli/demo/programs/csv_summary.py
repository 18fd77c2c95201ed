# type: ignore  # model-written: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Summarise the CSV that the host put here, and leave a summary file for it."""

import csv
import statistics
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

by_region: defaultdict[str, list[Decimal]] = defaultdict(list)
with open("sales.csv", newline="") as file:
    for row in csv.DictReader(file):
        by_region[row["region"]].append(Decimal(row["amount"]))

with open("summary.csv", "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["region", "orders", "total", "median"])
    for region, amounts in sorted(by_region.items()):
        writer.writerow([region, len(amounts), sum(amounts), statistics.median(amounts)])

print(Path("summary.csv").read_text())
{region: sum(amounts) for region, amounts in sorted(by_region.items())}
