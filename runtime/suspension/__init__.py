"""Programs that wait: which calls do, for whom, and how they go on."""
