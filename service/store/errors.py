"""Defines the errors of the store. Every exception of the Redis client becomes one of these.

StoreError
├── StoreUnavailable   not reachable, not answering in time, read-only, out of memory: may pass
├── NewerSchema        written by a newer release: another replica can go on with it
└── StoreCorrupt       what is stored cannot be read
"""


class StoreError(Exception):
    """Nothing is known to be written."""


class StoreUnavailable(StoreError):
    pass


class NewerSchema(StoreError):
    pass


class StoreCorrupt(StoreError):
    pass
