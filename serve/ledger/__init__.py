"""What survives the server, and where it is kept: SQLite for one node, PostgreSQL or Redis for several."""
