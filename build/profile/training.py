"""Runs inside an instrumented guest: what its compiler is to take for usual. No program of the benchmark is here.

Written as programs are, in all the ways of doing a thing that there are.
"""
# ruff: noqa: D102, D103, S102, S301, UP031, UP032

import ast
import base64
import bisect
import collections
import contextlib
import copy
import csv
import dataclasses
import datetime
import decimal
import difflib
import enum
import fractions
import functools
import hashlib
import heapq
import html
import io
import itertools
import json
import math
import operator
import pickle
import random
import re
import statistics
import string
import struct
import textwrap
import urllib.parse
import zlib
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

chance = random.Random(2026)
WORDS = ["".join(chance.choices(string.ascii_lowercase, k=chance.randint(2, 10))) for _ in range(600)]
TEXT = " ".join(chance.choices(WORDS, k=2_000))


@dataclasses.dataclass(order=True)
class Account:
    """An account of a small bank."""

    owner: str
    balance: int = 0
    entries: list[tuple[str, int]] = dataclasses.field(default_factory=list, compare=False)

    def post(self, what: str, amount: int) -> "Account":
        if self.balance + amount < 0:
            raise ValueError(f"{self.owner} has only {self.balance}")
        self.entries.append((what, amount))
        self.balance += amount
        return self

    @property
    def average(self) -> float:
        return statistics.fmean(amount for _, amount in self.entries) if self.entries else 0.0


def bank() -> dict[str, int]:
    accounts = {word: Account(word) for word in WORDS[:60]}
    refused = 0
    for turn in range(2_500):
        source, target = WORDS[turn % 60], WORDS[turn * 7 % 60]
        try:
            accounts[source].post("out", -(turn % 40))
            accounts[target].post("in", turn % 40)
        except ValueError:
            refused += 1
            accounts[source].post("gift", 25)
        except KeyError as error:
            raise AssertionError from error
    ranked = sorted(accounts.values(), key=lambda each: (-each.balance, each.owner))
    return {each.owner: each.balance for each in ranked if each.average or refused}


class Shape:
    """Something with an area, as courses of object-oriented programming have it."""

    corners = 0

    def __init__(self, *sides: float, **facts: object) -> None:
        self.sides = sides
        self.__dict__.update(facts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shape) and self.sides == other.sides

    def __hash__(self) -> int:
        return hash(self.sides)

    def __len__(self) -> int:
        return len(self.sides)

    def __getitem__(self, index: int) -> float:
        return self.sides[index]

    def __iter__(self) -> Iterator[float]:
        return iter(self.sides)

    def __add__(self, other: "Shape") -> "Shape":
        return type(self)(*self.sides, *other.sides)

    def __getattr__(self, name: str) -> str:
        if name.startswith("_"):
            raise AttributeError(name)
        return name.upper()

    def __call__(self, factor: float) -> float:
        return self.area() * factor

    def area(self, scale: float = 1.0, *, rounded: bool = False) -> float:
        found = scale * sum(self.sides)
        return round(found, 2) if rounded else found

    @classmethod
    def unit(cls, count: int) -> "Shape":
        return cls(*([1.0] * count))

    @staticmethod
    def double(number: float) -> float:
        return number * 2


class Rectangle(Shape):
    """A shape with a method of its own that calls the one above."""

    corners = 4

    def area(self, scale: float = 1.0, *, rounded: bool = False) -> float:
        return super().area(scale, rounded=rounded) * math.prod(self.sides[:2])


class Colour(enum.Enum):
    """Three colours."""

    RED = 1
    GREEN = 2
    BLUE = 3


def shapes() -> float:
    total = 0.0
    seen: set[Shape] = set()
    for number in range(500):
        shape: Shape = Rectangle(number, number + 1, name=str(number)) if number % 2 else Shape.unit(number % 5)
        seen.add(shape)
        total += shape.area(rounded=True) + shape(0.5) + Shape.double(len(shape))
        total += sum(side for side in shape) + (shape + shape).area(2)
        if shape in seen and hasattr(shape, "missing") and getattr(shape, "_hidden", None) is None:
            total += len(shape.colour) + Colour(1 + number % 3).value
    return total


def graph(size: int) -> list[int]:
    edges: dict[int, list[tuple[int, int]]] = collections.defaultdict(list)
    for node in range(size):
        for step in (1, 7, 31):
            edges[node].append(((node * step + 3) % size, node % 13 + step))
    distances, queue = {0: 0}, [(0, 0)]
    while queue:
        distance, node = heapq.heappop(queue)
        if distance > distances[node]:
            continue
        for other, length in edges[node]:
            if other not in distances or distance + length < distances[other]:
                distances[other] = distance + length
                heapq.heappush(queue, (distance + length, other))
    return [distances.get(node, -1) for node in range(size)]


def life(size: int, turns: int) -> int:
    cells = {(x, y) for x in range(size) for y in range(size) if (x * y + x) % 3 == 0}
    for _ in range(turns):
        near = collections.Counter(
            (x + dx, y + dy) for x, y in cells for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy
        )
        cells = {cell for cell, count in near.items() if count == 3 or (count == 2 and cell in cells)}
    return len(cells)


def knapsack(room: int) -> int:
    best = [0] * (room + 1)
    for weight, value in ((3, 5), (4, 7), (7, 12), (9, 14), (11, 19)):
        for free in range(room, weight - 1, -1):
            if best[free - weight] + value > best[free]:
                best[free] = best[free - weight] + value
    return best[-1]


def primes(limit: int) -> int:
    flags = bytearray([1]) * (limit + 1)
    for number in range(2, math.isqrt(limit) + 1):
        if flags[number]:
            flags[number * number :: number] = bytes(len(range(number * number, limit + 1, number)))
    return sum(flags) - 2


def collatz(limit: int) -> int:
    longest = 0
    for start in range(1, limit):
        number, steps = start, 0
        while number != 1:
            number = 3 * number + 1 if number & 1 else number // 2
            steps += 1
        longest = max(longest, steps)
    return longest


def integral(steps: int) -> float:
    total = 0.0
    for index in range(steps):
        x = (index + 0.5) / steps
        total += math.sin(x) * math.sqrt(x) / (1.0 + x * x) + math.exp(-x) ** 2
    return total / steps


def matrices(size: int) -> float:
    rows = [[chance.random() for _ in range(size)] for _ in range(size)]
    columns = list(zip(*rows, strict=True))
    product = [[sum(a * b for a, b in zip(row, column, strict=True)) for column in columns] for row in rows]
    return sum(product[index][index] for index in range(size))


def numbers() -> tuple[int, str, str]:
    first, second = 1, 1
    for _ in range(1_500):
        first, second = second, first + second
    product = first * second + pow(second, 97, first | 1) - (first >> 40) ^ (second << 3)
    quotient, rest = divmod(product, 10**50 + 7)
    decimal.getcontext().prec = 40
    root = decimal.Decimal(2)
    for index in range(1, 250):
        root = (root + decimal.Decimal(index) / root).quantize(decimal.Decimal("1.000000"))
        root = max(root, root.sqrt()) if index % 50 == 0 else root
    exact = sum((fractions.Fraction(1, index) for index in range(1, 40)), fractions.Fraction(0))
    return math.gcd(quotient, rest), str(product)[:40] + str(int(str(first))), f"{root} {exact}"


def texts() -> int:
    upper = TEXT.upper().title().swapcase().replace("a", "bb").split()
    table = [f"{word!r:>14}|{index:05d}|{index / 7:8.3f}|{index:#x}" for index, word in enumerate(upper[:400])]
    table += ["%-12s %4d %.2f" % (word, index, index / 3) for index, word in enumerate(upper[:300])]
    table += ["{:<10}{:>6,}".format(word, index * 1_000) for index, word in enumerate(upper[:300])]
    joined = "\n".join(table)
    found = [joined.find("|"), joined.count("0"), len(joined.encode()), len(textwrap.fill(joined[:3_000], 60))]
    cipher = "".join(chr(97 + (ord(letter) - 84) % 26) if letter.isalpha() else letter for letter in TEXT[:4_000])
    shares = collections.Counter(cipher).most_common(5)
    lines = [line.strip().partition("|") for line in joined.splitlines() if line.startswith(("'", '"', " "))]
    return sum(found) + len(shares) + len(lines) + len(html.escape(joined)) + len(base64.b64encode(cipher.encode()))


def patterns() -> int:
    total = len(re.findall(r"\b([a-m]\w*?)([aeiou])\w*\b", TEXT))
    total += len(re.sub(r"(\w+) (\w+)", lambda match: f"{match[2]} {match[1].upper()}", TEXT))
    total += len(re.split(r"[\s,;]+|(?<=e)n", TEXT))
    levels = ("info", "warn", "warn")
    log = "\n".join(f"2026-11-{1 + n % 28:02d} level={levels[n % 3]} id={n} word={WORDS[n]}" for n in range(400))
    entry = re.compile(r"^(?P<day>\d{4}-\d\d-\d\d) level=(?P<level>\w+) id=(?P<id>\d+)(?: word=(?P<word>\S*))?$", re.M)
    total += sum(int(match["id"]) for match in entry.finditer(log) if match["level"] == "warn")
    total += bool(re.match(r"(?:x+)+y", "x" * 14 + "z")) + bool(re.fullmatch(r"(?i)[A-Z ]+", TEXT))
    return total


def documents() -> int:
    rows = [
        {"id": n, "word": word, "share": n / 3, "tags": list(word[:4]), "more": {"no": None, "é": "ü" + word}}
        for n, word in enumerate(WORDS[:250])
    ]
    total = 0
    for indent in (None, 2, None):
        text = json.dumps(rows, indent=indent, sort_keys=indent is not None)
        total += len(text) + len(json.loads(text))
    total += len(pickle.loads(pickle.dumps(rows))) + len(copy.deepcopy(rows[:60]))
    file = io.StringIO()
    csv.writer(file).writerows([[row["id"], row["word"], row["share"]] for row in rows])
    total += sum(float(line[2]) for line in csv.reader(io.StringIO(file.getvalue()))) > 0
    total += len(zlib.decompress(zlib.compress(TEXT.encode()))) + len(hashlib.sha256(TEXT.encode()).hexdigest())
    total += sum(struct.unpack("<200I", struct.pack("<200I", *range(200))))
    return total + len(urllib.parse.urlencode({"a": 1, "b": "x y"})) + len(list(difflib.ndiff(WORDS[:40], WORDS[5:45])))


def sorting() -> int:
    floats = [chance.random() for _ in range(2_500)]
    whole = [chance.randrange(1 << 24) for _ in range(2_500)]
    pairs = sorted(zip(whole, floats, strict=True), key=operator.itemgetter(1))
    by_length = sorted(WORDS, key=len, reverse=True)
    for word in sorted(WORDS[:80]):
        bisect.insort(by_length, word, key=lambda each: -len(each))
    grouped = [(key, len(list(group))) for key, group in itertools.groupby(sorted(WORDS), key=lambda each: each[0])]
    return len(sorted(floats)) + len(sorted(whole)) + len(pairs) + len(grouped) + len(sorted(map(str, whole[:800])))


def pieces(count: int) -> Generator[int, int, None]:
    for number in range(count):
        sent = yield number
        if sent:
            yield sent


def lazily() -> int:
    generator = pieces(800)
    total = sum(next(generator) for _ in range(5)) + generator.send(7) + sum(generator)
    total += sum(1 for _ in itertools.chain.from_iterable(itertools.combinations(range(9), 3)))
    total += sum(a * b for a, b in zip(range(900), itertools.cycle((1, 2, 3)), strict=False))
    total += sum(map(operator.add, range(600), range(600))) + len(list(filter(None, range(300))))
    total += functools.reduce(lambda a, b: a + b, range(400)) + any(n > 500 for n in range(600))
    squares = {n: n * n for n in range(500)}
    kept = {n % 11 for n in squares} | set(range(5)) & set(range(3, 9)) - {4}
    window: collections.deque[int] = collections.deque(maxlen=40)
    for number in range(900):
        window.append(number)
        window.appendleft(window.pop() if number % 3 else number)
    ways = functools.lru_cache(maxsize=None)(lambda n: 1 if n < 2 else ways(n - 1) + ways(n - 2))
    return total + len(kept) + sum(window) + ways(60) + len([n for row in [[1, 2, 3]] * 200 for n in row if n & 1])


def attempts() -> int:
    caught = 0

    @contextlib.contextmanager
    def counted(step: int) -> Iterator[int]:
        try:
            yield step
        except IndexError:
            nonlocal caught
            caught += 1

    for number in range(600):
        with counted(number) as step:
            try:
                match [number % 4, {"key": number}, "text"]:
                    case [0, {"key": int(key)}, _]:
                        raise ValueError(key)
                    case [1, _, str(text)] if step:
                        [][step + len(text)]
                    case [2, *_]:
                        caught += int("x" if number % 8 == 2 else "1")
                    case _:
                        caught += {}.get(number, 1)
            except (ValueError, KeyError) as error:
                caught += len(str(error)) + len(repr(error))
            finally:
                caught -= 1
    return caught


def calendar() -> int:
    start = datetime.datetime(2024, 1, 31, 12)
    stamps = [(start + datetime.timedelta(days=n, hours=n)).isoformat() for n in range(300)]
    weekdays = collections.Counter(datetime.datetime.fromisoformat(stamp).strftime("%A %d") for stamp in stamps)
    return len(weekdays) + sum(divmod(n, 7)[1] for n in range(400))


def nested(depth: int) -> int:
    if depth == 0:
        return 1
    left, right = (depth - 1, depth - 2) if depth > 1 else (0, 0)
    return nested(left) + (nested(right) if right else 0)


def compiling() -> int:
    source = "def f(a, *b, c=1, **d):\n    return [a + c for _ in b if d]\nclass K:\n    def g(self): return self.x\n"
    total = 0
    for number in range(12):
        tree = ast.parse(source + f"x{number} = {number} if f(1, 2) else 'é'\n" * 8)
        names: dict[str, Any] = {}
        exec(compile(tree, f"<{number}>", "exec"), names)
        total += len(list(ast.walk(tree))) + len(names[f"x{number}"])
    return total


class Pause:
    """What a coroutine waits for."""

    def __await__(self) -> Generator[None]:
        yield


async def numbered(count: int) -> AsyncIterator[int]:
    for number in range(count):
        await Pause()
        yield number


async def summed(count: int) -> int:
    await Pause()
    return sum([number async for number in numbered(count)])


def coroutines() -> int:
    waiting = collections.deque(summed(20 + number) for number in range(12))
    total = 0
    while waiting:
        coroutine = waiting.popleft()
        try:
            coroutine.send(None)
        except StopIteration as stop:
            total += stop.value
        else:
            waiting.append(coroutine)
    return total


PARTS: tuple[Callable[[], object], ...] = (
    bank,
    shapes,
    functools.partial(graph, 700),
    functools.partial(life, 14, 8),
    functools.partial(knapsack, 900),
    functools.partial(primes, 30_000),
    functools.partial(collatz, 700),
    functools.partial(integral, 6_000),
    functools.partial(matrices, 18),
    numbers,
    texts,
    patterns,
    documents,
    sorting,
    lazily,
    attempts,
    calendar,
    functools.partial(nested, 17),
    compiling,
    coroutines,
)
for part in PARTS:
    part()
