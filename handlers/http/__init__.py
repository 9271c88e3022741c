"""What all endpoints share; it knows none of them."""
