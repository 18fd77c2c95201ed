"""What can go wrong while the guest is built."""


class BuildError(Exception):
    """A step of the build failed; the message says which, why, and what to do."""
