"""What the service is made of, as bills of materials, and whether any of it is known to be vulnerable."""
