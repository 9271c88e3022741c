"""Hours of ordinary calls, to see whether anything grows that should not: `make soak`."""
