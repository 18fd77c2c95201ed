"""From what a model wrote to its reasoning, its program and its tool calls."""
