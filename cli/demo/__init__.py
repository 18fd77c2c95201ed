"""Programs as a model writes them, good and naughty, and a team of agents."""
