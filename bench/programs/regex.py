"""Regular expressions: found, captured and replaced in a log."""

import re

LINE = "2024-05-{day:02d} 12:{minute:02d}:07 WARN [worker-{day}] user=u{minute}@example.com took {day}{minute} ms"


def work(days):
    """Read a log of that many days and return what was counted."""
    log = "\n".join(LINE.format(day=day, minute=minute) for day in range(1, days + 1) for minute in range(60))
    mails = re.findall(r"[\w.]+@[\w.]+\.com", log)
    times = [int(took) for took in re.findall(r"took (\d+) ms", log)]
    dates = {match.group(1) for match in re.finditer(r"^(\d{4}-\d\d-\d\d)\b", log, re.MULTILINE)}
    hidden = re.sub(r"user=(\w+)@\S+", r"user=\1@***", log)
    return [len(mails), sum(times), len(dates), len(hidden)]


result = work(22)
