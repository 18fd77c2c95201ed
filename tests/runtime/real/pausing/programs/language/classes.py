class Base:
    made = 0

    def __init__(self, x):
        self.x = x
        Base.made += 1

    @property
    def double(self):
        return self.x * 2

    def __eq__(self, other):
        return self.x == other.x

    def __lt__(self, other):
        return self.x < other.x

    def __hash__(self):
        return hash(self.x)

    def __repr__(self):
        return f"{type(self).__name__}({self.x})"


class Derived(Base):
    def __init__(self, x, y):
        super().__init__(x)
        self.y = y

    def __call__(self, z):
        return self.x + self.y + z

    def __getattr__(self, name):
        return name


items = [Derived(7 - i, i) for i in range(8)]
[
    str(sorted(items)),
    {repr(item): item(1) for item in items},
    items[0].double,
    items[0].absent,
    Base.made,
    len(set(items)),
]
