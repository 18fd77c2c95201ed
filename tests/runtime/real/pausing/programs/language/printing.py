import sys

for i in range(120):
    print(i, end=" " if i % 10 else "\n")
    if i % 40 == 0:
        print("note", i, file=sys.stderr)
"printed"
