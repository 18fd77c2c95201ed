"""The results, shown: on a terminal, as Markdown, as a page."""
