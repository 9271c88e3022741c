"""Builds the service once: its parts, its routes, and what runs beside them."""
