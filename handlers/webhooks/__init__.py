"""Voice webhooks: one module for each kind, a registry, and the endpoint that answers them with BXML."""
