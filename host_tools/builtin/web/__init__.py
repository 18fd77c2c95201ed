"""The web, as far as tools may reach it: addresses, connections, requests."""
