"""What the sessions of agents have beside any other session."""
