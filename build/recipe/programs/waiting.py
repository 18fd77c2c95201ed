"""Runs inside the guest while it is measured what waiting costs: calls that have their answer at once, or later.

The recipe adds a line that calls one of these.
"""

import time

from _cloche import ask, call

PREFIX = b"\x94\x00\xa1x"
FRAME = b"\x92\x04\x00"


def asked(rounds: int) -> None:
    """Call a tool as most calls are made."""
    for _ in range(rounds):
        ask(PREFIX, (), {}, None)


def called(rounds: int) -> None:
    """Send a frame."""
    for _ in range(rounds):
        call(FRAME)


def slept(rounds: int) -> None:
    """Sleep."""
    for _ in range(rounds):
        time.sleep(0)


def stayed(rounds: int) -> None:
    """Do the same below C, where nothing can be left."""
    dict.fromkeys(map(asked, [rounds]))


def stayed_awake(rounds: int) -> None:
    """Sleep there."""
    dict.fromkeys(map(slept, [rounds]))
