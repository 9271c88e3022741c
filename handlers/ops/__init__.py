"""Endpoints for probes and metrics."""
