"""One session: its guest, its runs from request to result, its suspended program, and its snapshots."""
