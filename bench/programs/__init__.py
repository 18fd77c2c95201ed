"""The programs that peers run: read as text, never imported. Each leaves its answer in ``result``."""
