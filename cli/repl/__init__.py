"""A session at the keyboard."""
