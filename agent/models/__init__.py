"""Models: what an agent asks for its next step."""
