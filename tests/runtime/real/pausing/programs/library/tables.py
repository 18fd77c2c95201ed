import csv
import io
import statistics

text = "name,age,city\n" + "".join(f"n{i},{20 + i % 30},c{i % 4}\n" for i in range(40))
rows = list(csv.DictReader(io.StringIO(text)))
by_city = {}
for row in rows:
    by_city.setdefault(row["city"], []).append(int(row["age"]))
out = io.StringIO()
csv.writer(out).writerows([city, statistics.mean(ages), statistics.pstdev(ages)] for city, ages in by_city.items())
out.getvalue()
