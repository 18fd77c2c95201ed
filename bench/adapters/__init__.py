"""One small adapter for each peer: how it runs a program, fresh and in a session."""
