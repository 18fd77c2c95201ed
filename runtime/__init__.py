"""The sandbox: images, machines, sessions, limits, and the host's end of the bridge."""
