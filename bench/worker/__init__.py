"""The process in which one peer is measured. Standard library only: it may run in another interpreter."""
