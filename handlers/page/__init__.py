"""The page on which a browser joins a room: its sources, and what serves it once it is built."""
