"""Answers the page of a room, and all that it asks for: everything under /join/{room}."""
