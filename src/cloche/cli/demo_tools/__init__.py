"""The host tools of the demo: small, typed, with data of their own."""
