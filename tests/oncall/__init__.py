"""Faults as somebody on call meets them: an alert, its section of the runbook, and what the commands say."""
