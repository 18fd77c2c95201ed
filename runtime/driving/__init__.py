"""Many programs on few threads: whose turn it is, and the threads that take turns."""
