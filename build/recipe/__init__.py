"""The recipes that turn pinned sources and `guest/` into a baked image. `python -m recipe all`."""
