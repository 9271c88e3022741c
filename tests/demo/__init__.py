"""A Bandwidth on loopback, the real service beside it, and calls from start to end: `make demo`."""
