"""An agent at the keyboard."""
