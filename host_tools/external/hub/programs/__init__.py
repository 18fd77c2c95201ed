"""Python that runs in the guest of a sealed tool: read as text, and never imported by the host."""
