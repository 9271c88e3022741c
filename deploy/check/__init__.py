"""`make check-deploy`: everything under deploy/, checked on a machine without a container engine."""
