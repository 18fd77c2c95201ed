"""Dictionaries: counting, grouping and looking up."""


def work(size):
    """Group numbers by a key, count them and add up what was found."""
    groups = {}
    counts = {}
    for number in range(size):
        key = f"k{number * 7919 % 97}"
        groups.setdefault(key, []).append(number)
        counts[number % 31] = counts.get(number % 31, 0) + 1
    merged = {key: sum(values) for key, values in groups.items() if len(values) > 5}
    inverse = {value: key for key, value in merged.items()}
    hits = sum(1 for number in range(size) if f"k{number}" in merged)
    return [len(merged), len(inverse), hits, max(counts.values())]


result = work(14000)
