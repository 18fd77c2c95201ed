"""Sessions as kernels of Jupyter."""
