"""What a session consists of: whose turn it is, what its guest holds, and programs that wait."""
