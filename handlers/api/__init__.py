"""Answers the operator API, which `openapi.json` describes."""
