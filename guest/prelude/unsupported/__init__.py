"""What programs find in place of threads, processes, sockets and modules that the sandbox cannot have."""
