"""Webhooks and requests that nobody should send, thousands of them, while real calls go on."""
