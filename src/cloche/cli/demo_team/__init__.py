"""A manager and two specialists, each with programs in a guest of its own."""
