"""Answers probes, and requests for metrics."""
