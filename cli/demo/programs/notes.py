# type: ignore  # model-written: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""Keep the meeting's facts in the memo, then answer from it."""

facts = {"date": "2026-03-14", "room": "Oslo", "people": "Ada, Grace, Edsger"}
for key, text in facts.items():
    memo_set(key, text)
if "people" in memo_list():
    memo_set("headcount", str(len(memo_get("people").split(","))))
print("memo now holds:", ", ".join(memo_list()))
f"{memo_get('headcount')} people in {memo_get('room')} on {memo_get('date')}"
