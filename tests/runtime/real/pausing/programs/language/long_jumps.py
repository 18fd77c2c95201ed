def work(n):
    total = 0
    for i in range(n):
        total += i * 1 + len(str(i)) % 3
        total += i * 2 + len(str(i)) % 3
        total += i * 3 + len(str(i)) % 3
        total += i * 4 + len(str(i)) % 3
        total += i * 5 + len(str(i)) % 3
        total += i * 6 + len(str(i)) % 3
        total += i * 7 + len(str(i)) % 3
        total += i * 8 + len(str(i)) % 3
        total += i * 9 + len(str(i)) % 3
        total += i * 10 + len(str(i)) % 3
        total += i * 11 + len(str(i)) % 3
        total += i * 12 + len(str(i)) % 3
        total += i * 13 + len(str(i)) % 3
        total += i * 14 + len(str(i)) % 3
        total += i * 15 + len(str(i)) % 3
        total += i * 16 + len(str(i)) % 3
        total += i * 17 + len(str(i)) % 3
        total += i * 18 + len(str(i)) % 3
        total += i * 19 + len(str(i)) % 3
        total += i * 20 + len(str(i)) % 3
        total += i * 21 + len(str(i)) % 3
        total += i * 22 + len(str(i)) % 3
        total += i * 23 + len(str(i)) % 3
        total += i * 24 + len(str(i)) % 3
        total += i * 25 + len(str(i)) % 3
        total += i * 26 + len(str(i)) % 3
        total += i * 27 + len(str(i)) % 3
        total += i * 28 + len(str(i)) % 3
        total += i * 29 + len(str(i)) % 3
        total += i * 30 + len(str(i)) % 3
        total += i * 31 + len(str(i)) % 3
        total += i * 32 + len(str(i)) % 3
        total += i * 33 + len(str(i)) % 3
        total += i * 34 + len(str(i)) % 3
        total += i * 35 + len(str(i)) % 3
        total += i * 36 + len(str(i)) % 3
        total += i * 37 + len(str(i)) % 3
        total += i * 38 + len(str(i)) % 3
        total += i * 39 + len(str(i)) % 3
        total += i * 40 + len(str(i)) % 3
        total += i * 41 + len(str(i)) % 3
        total += i * 42 + len(str(i)) % 3
        total += i * 43 + len(str(i)) % 3
        total += i * 44 + len(str(i)) % 3
        total += i * 45 + len(str(i)) % 3
        total += i * 46 + len(str(i)) % 3
        total += i * 47 + len(str(i)) % 3
        total += i * 48 + len(str(i)) % 3
        total += i * 49 + len(str(i)) % 3
        total += i * 50 + len(str(i)) % 3
        total += i * 51 + len(str(i)) % 3
        total += i * 52 + len(str(i)) % 3
        total += i * 53 + len(str(i)) % 3
        total += i * 54 + len(str(i)) % 3
        total += i * 55 + len(str(i)) % 3
        total += i * 56 + len(str(i)) % 3
        total += i * 57 + len(str(i)) % 3
        total += i * 58 + len(str(i)) % 3
        total += i * 59 + len(str(i)) % 3
        total += i * 60 + len(str(i)) % 3
    return total


work(40)
