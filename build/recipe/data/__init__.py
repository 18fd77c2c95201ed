"""The data image: packages with C in them for the guest, and an image that has them imported."""
