"""Hostile clients beside ordinary callers: what callers notice, and what is left (`make attack`)."""
