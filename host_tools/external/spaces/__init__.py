"""Gradio apps as tools: calls over the network, in which no code of theirs runs here."""
