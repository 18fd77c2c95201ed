# type: ignore  # model-written: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Plain Python and its standard library; the value keeps its types."""

import re
from collections import Counter
from datetime import date, timedelta
from fractions import Fraction

text = "It was the best of times, it was the worst of times, it was the age of wisdom."
words = re.findall(r"[a-z]+", text.lower())
count = Counter(words)
print(f"{len(words)} words, {len(count)} different")
{
    "share of 'it'": Fraction(count["it"], len(words)),
    "due": date(2024, 2, 27) + timedelta(days=3),
    "repeated": {word for word, n in count.items() if n == 3},
}
