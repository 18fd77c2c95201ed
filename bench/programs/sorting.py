"""Sorting: numbers, records by key, and a sort written out by hand."""


def numbers(count):
    """Return numbers in no order, always the same."""
    found = []
    state = 12345
    for i in range(count):
        state = (state * 1103515245 + 12345) % 2147483648
        found.append(state)
    return found


def merge_sort(items):
    """Return the items in order."""
    if len(items) < 2:
        return items
    middle = len(items) // 2
    left, right = merge_sort(items[:middle]), merge_sort(items[middle:])
    merged = []
    i = j = 0
    while i < len(left) and j < len(right):
        if left[i] <= right[j]:
            merged.append(left[i])
            i += 1
        else:
            merged.append(right[j])
            j += 1
    return merged + left[i:] + right[j:]


def work(count):
    """Sort in three ways and return a few of the items."""
    items = numbers(count)
    records = [{"id": number, "rest": number % 1000} for number in items]
    by_rest = sorted(records, key=lambda record: (record["rest"], record["id"]), reverse=True)
    return [sorted(items)[100], by_rest[7]["id"], merge_sort(items)[200]]


result = work(3500)
