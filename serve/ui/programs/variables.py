"""List the variables of a session: name, type and the beginning of what each one is."""

[
    [name, type(value).__name__, repr(value)[:200]]
    for name, value in sorted(globals().items())
    if name[:1] != "_" and not callable(value) and type(value).__name__ != "module"
]
