import json

data = [{"id": i, "tags": ["a"] * (i % 4), "score": i / 3, "none": None, "text": "é" * i} for i in range(25)]
text = json.dumps(data, indent=2, sort_keys=True)
[json.loads(text) == data, len(text), json.loads("[1, 2]", parse_int=lambda s: int(s) * 2)]
