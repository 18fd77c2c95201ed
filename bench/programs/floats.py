"""Floating point: a simulation of four bodies under gravity."""

from math import sqrt

BODIES = [
    [0.0, 0.0, 0.0, 0.0, 39.47],
    [4.84, -1.16, 0.6, 2.81, 0.037],
    [8.34, 4.12, -1.01, 1.82, 0.011],
    [12.89, -15.11, 1.08, 0.86, 0.0017],
]


def advance(bodies, dt):
    """Move all bodies by one step of time."""
    for i, one in enumerate(bodies):
        for other in bodies[i + 1 :]:
            dx, dy = one[0] - other[0], one[1] - other[1]
            distance = sqrt(dx * dx + dy * dy)
            force = dt / (distance * distance * distance)
            one[2] -= dx * other[4] * force
            one[3] -= dy * other[4] * force
            other[2] += dx * one[4] * force
            other[3] += dy * one[4] * force
    for body in bodies:
        body[0] += dt * body[2]
        body[1] += dt * body[3]


def work(steps):
    """Return where everything is after so many steps."""
    bodies = [list(body) for body in BODIES]
    for i in range(steps):
        advance(bodies, 0.01)
    return [int(body[0] * 1e6) for body in bodies]


result = work(1800)
