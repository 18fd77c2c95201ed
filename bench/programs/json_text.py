"""JSON: written and read again."""

import json


def work(rounds):
    """Send records through JSON and return what is left to count."""
    records = [
        {
            "id": number,
            "name": f"item {number}",
            "price": number * 1.25,
            "tags": ["a", "b", None],
            "ok": number % 2 == 0,
        }
        for number in range(200)
    ]
    size = 0
    for i in range(rounds):
        text = json.dumps({"records": records, "count": len(records)})
        size += len(text)
        records = json.loads(text)["records"]
    return [size, len(records), sum(1 for record in records if record["ok"])]


result = work(20)
