"""What happens in a turn: calls, orders, browsers and listeners, each a life with dice of its own."""
