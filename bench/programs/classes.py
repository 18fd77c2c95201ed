"""Classes: instances, inheritance, properties and operators."""


class Shape:
    """Something with an area."""

    def __init__(self, name):
        self.name = name

    def area(self):
        """Return the area."""
        return 0.0

    def bigger(self, other):
        """Return whether this one has the larger area."""
        return self.area() > other.area()


class Rectangle(Shape):
    """Four corners."""

    def __init__(self, width, height):
        super().__init__("rectangle")
        self.width = width
        self.height = height

    def area(self):
        """Return the area."""
        return self.width * self.height


class Square(Rectangle):
    """A rectangle with equal sides."""

    def __init__(self, side):
        super().__init__(side, side)

    @property
    def diagonal(self):
        """The distance between two opposite corners."""
        return self.width * 2**0.5

    def __add__(self, other):
        return Square(self.width + other.width)


def work(count):
    """Make shapes, compare them and add them up."""
    total, larger = 0.0, 0
    last = Square(1)
    tower = Square(1)
    for number in range(count):
        shape = Square(number % 17) if number % 2 else Rectangle(number % 13, number % 7)
        larger += shape.bigger(last)
        total += shape.area()
        if isinstance(shape, Square):
            total += round(shape.diagonal)
            tower = tower + shape
        last = shape
    return [total, larger, tower.width]


result = work(9000)
