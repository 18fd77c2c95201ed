"""One run: from its request to its result, on the caller's thread or another."""
