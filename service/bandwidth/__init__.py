"""Everything the service says to Bandwidth: requests to its two APIs, and the BXML of its replies."""
