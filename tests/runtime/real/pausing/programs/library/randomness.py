import random

random.seed(7)
own = random.Random(11)
numbers = [random.random() for _ in range(50)]
deck = list(range(30))
own.shuffle(deck)
[numbers[::10], deck, own.sample(range(100), 5), random.choices("abc", k=10), [own.gauss(0, 1) for _ in range(5)]]
