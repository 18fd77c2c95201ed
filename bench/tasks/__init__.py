"""What is measured, one task at a time. Standard library only: tasks run in the peer's own process."""
