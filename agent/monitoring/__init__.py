"""Watching runs: on the terminal, in a file, as spans; and run records read back, as text and as a page."""
