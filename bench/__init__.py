"""What isolation costs: Cloche and its peers, measured side by side on this machine."""
