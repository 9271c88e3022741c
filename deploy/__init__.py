"""What it takes to run the service somewhere, and `make check-deploy`, which checks it."""
