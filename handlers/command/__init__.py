"""The commands of `pstn-bridge`, a module for each; one is imported when it is asked for (handlers.cli)."""
