"""What isolation costs: ``python -m benchmarks`` is ``cloche bench`` with the bars."""
