"""Observers: what a run does, on the terminal, in a file, as spans."""
