"""The one place that knows the Redis client."""
