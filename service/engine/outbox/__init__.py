"""Works off what calls and rooms owe, and writes what could not be written at once."""
