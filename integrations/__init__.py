"""Cloche inside other projects' agents: a module for each, imported only by who uses it."""
