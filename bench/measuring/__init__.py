"""A run of the benchmark: workers started, tasks interleaved, samples gathered."""
