"""Receives the webhooks of Bandwidth: reads them, turns them into events, and answers them with BXML."""
