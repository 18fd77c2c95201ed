"""Where snapshots are kept: a folder, a SQLite file, any fsspec file system, Redis."""
