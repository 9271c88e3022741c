"""What a visitor's page asks for: everything under /join/{room}."""
