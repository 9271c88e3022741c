"""The PSTN bridge: what happens to a call, where it is kept, and what is said to Bandwidth."""

__version__ = "0.2.0"
