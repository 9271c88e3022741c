"""Every key that we use, and which partition it belongs to.

Calls and rooms are spread over a fixed number of partitions; the hash tag (`{p03}`) keeps all keys of one
partition in one slot of a cluster, so that a script may touch a call and all that belongs to it.
"""

import hashlib

from service.calls.refs import PARTITIONS, partition_of_ref


def partition_of_room(room: str) -> int:
    return hashlib.sha256(room.encode()).digest()[-1] % PARTITIONS


def call(ref: str) -> str:
    return f"{_tag(partition_of_ref(ref))}:call:{ref}"


def events(ref: str) -> str:
    """Which webhooks of a call have been answered, and how."""
    return f"{_tag(partition_of_ref(ref))}:events:{ref}"


def timeline(ref: str) -> str:
    return f"{_tag(partition_of_ref(ref))}:timeline:{ref}"


def token(ref: str) -> str:
    """The device token of a transfer that has not been answered."""
    return f"{_tag(partition_of_ref(ref))}:token:{ref}"


def room(name: str) -> str:
    return f"{_tag(partition_of_room(name))}:room:{name}"


def left(name: str, seat: str) -> str:
    """The mark of a seat that was given up before a participant took it."""
    return f"{_tag(partition_of_room(name))}:left:{seat}"


def agenda(partition: int) -> str:
    """Who owes work, by the time from which it is due."""
    return f"{_tag(partition)}:agenda"


def owed(owner: str) -> str:
    """The effects that an owner owes, in order."""
    return f"{_tag(partition_of_owner(owner))}:owed:{owner}"


def owner_call(ref: str) -> str:
    return f"call:{ref}"


def owner_room(name: str) -> str:
    return f"room:{name}"


def partition_of_owner(owner: str) -> int:
    kind, _, name = owner.partition(":")
    return partition_of_ref(name) if kind == "call" else partition_of_room(name)


def _tag(partition: int) -> str:
    return f"pstn:{{p{partition:02}}}"
