"""The compiler's package, which is only asked where it is; it ships no types."""
