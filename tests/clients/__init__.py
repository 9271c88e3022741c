"""The API as generators of clients read its description: written by them, and used against the service."""
