"""The guest's own Python: what lives inside the sandbox between CPython and the bridge."""
