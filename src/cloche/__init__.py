"""Run Python that a model wrote, in a sealed CPython."""
