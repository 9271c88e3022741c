"""Gets calls, browsers and prepared participants into the sessions of rooms."""
