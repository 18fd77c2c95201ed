from datetime import date, datetime, timedelta, timezone

start = date(2024, 1, 31)
days = [start + timedelta(days=i * 13) for i in range(40)]
[
    [d.isoformat() for d in days if d.weekday() < 2],
    [datetime.strptime(d.strftime("%d/%m/%Y"), "%d/%m/%Y").date() == d for d in days[:6]],
    datetime(2024, 2, 29, tzinfo=timezone.utc).timestamp(),
]
