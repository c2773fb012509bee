"""Other tools: scripts for them, results from them, and metrics to watch while a load runs."""
