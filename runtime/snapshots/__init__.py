"""A session as bytes: made, checked, stored, and brought back to life."""
