"""Names every key of the store, and the partition that it belongs to.

Calls and rooms are spread over a fixed number of partitions; the hash tag (`{p03}`) keeps all keys of one
partition in one slot of a cluster, so that a script may touch a call and all that belongs to it.
"""

import hashlib
from functools import lru_cache
from typing import Final

import msgspec

from service.calls.refs import PARTITIONS, partition_of_ref, ref_of_call

_TAGS = tuple(f"pstn:{{p{partition:02}}}" for partition in range(PARTITIONS))
_KEPT: Final = 1024
"""Calls, rooms and owners whose keys are remembered, each: more than are worked on at once; 1 kB for one."""


class OwnerKeys(msgspec.Struct, frozen=True):
    """The keys of the work that one owner owes: a call (`call:<ref>`) or a room (`room:<name>`)."""

    partition: int
    owed: str
    """The effects that it owes, in order."""
    timeline: str
    """What became of its work: the timeline of a call. No room has one."""
    agenda: str
    dead: str
    unknown: str
    offered: str

    @staticmethod
    @lru_cache(maxsize=_KEPT)
    def of(owner: str) -> "OwnerKeys":
        partition = partition_of_owner(owner)
        kind, _, name = owner.partition(":")
        return OwnerKeys(
            partition=partition,
            owed=_owed(partition, owner),
            timeline=f"{_tag(partition)}:timeline:{name if kind == 'call' else owner}",
            agenda=agenda(partition),
            dead=dead(partition),
            unknown=unknown(partition),
            offered=offered(partition),
        )


class CallKeys(msgspec.Struct, frozen=True):
    """The keys of one call, and those of its partition that change with it."""

    call: str
    events: str
    """The webhooks that have been answered, and their answers."""
    timeline: str
    token: str
    """The device token of a transfer that has not been answered."""
    owner: str
    """No key: the name of the call as an owner of work."""
    owed: str
    agenda: str
    calls: str
    live_calls: str
    news: str

    @staticmethod
    @lru_cache(maxsize=_KEPT)
    def of(ref: str) -> "CallKeys":
        owner = owner_call(ref)
        work = OwnerKeys.of(owner)
        tag = _tag(work.partition)
        return CallKeys(
            call=_call(work.partition, ref),
            events=f"{tag}:events:{ref}",
            timeline=work.timeline,
            token=f"{tag}:token:{ref}",
            owner=owner,
            owed=work.owed,
            agenda=work.agenda,
            calls=calls(work.partition),
            live_calls=live_calls(work.partition),
            news=news(work.partition),
        )


class RoomKeys(msgspec.Struct, frozen=True):
    """The keys of one room, and those of its partition that change with it."""

    room: str
    settings: str
    closed_at: str
    passes: str
    passes_until: str
    owner: str
    """No key: the name of the room as an owner of work."""
    owed: str
    agenda: str
    live_rooms: str
    news: str

    @staticmethod
    @lru_cache(maxsize=_KEPT)
    def of(name: str) -> "RoomKeys":
        owner = owner_room(name)
        work = OwnerKeys.of(owner)
        return RoomKeys(
            room=room(name),
            settings=room_settings(name),
            closed_at=room_closed_at(name),
            passes=passes(name),
            passes_until=passes_until(name),
            owner=owner,
            owed=work.owed,
            agenda=work.agenda,
            live_rooms=live_rooms(work.partition),
            news=news(work.partition),
        )


@lru_cache(maxsize=4096)
def partition_of_room(room: str) -> int:
    return _hash(room) % PARTITIONS


def call(ref: str) -> str:
    return _call(partition_of_ref(ref), ref)


def calls(partition: int) -> str:
    """The calls of a partition by the time at which they began."""
    return f"{_tag(partition)}:calls"


def live_calls(partition: int) -> str:
    """Live calls by the state they are in and the time at which they are forgotten."""
    return f"{_tag(partition)}:standing"


def alias(call_id: str) -> str:
    """The ref of a call whose ref does not follow from Bandwidth's id."""
    return f"{_tag(partition_of_ref(ref_of_call(call_id)))}:alias:{call_id}"


def room(name: str) -> str:
    return f"{room_prefix(partition_of_room(name))}{name}"


def room_prefix(partition: int) -> str:
    """What the keys of a partition's rooms begin with."""
    return f"{_tag(partition)}:room:"


def room_settings(name: str) -> str:
    return f"{_tag(partition_of_room(name))}:settings:{name}"


def configured(partition: int) -> str:
    """Names of the rooms that have settings."""
    return f"{_tag(partition)}:configured"


def live_rooms(partition: int) -> str:
    """Names of the rooms that somebody is in or waits for."""
    return f"{_tag(partition)}:live"


def pin(digits: str) -> str:
    """The room that the digits name, and since when."""
    return f"{_tag(_hash(digits) % PARTITIONS)}:pin:{digits}"


def wrong_pins(hashed_number: str) -> str:
    """Wrong PINs of one hour, by a caller or on a number of ours: its keyed hash."""
    return f"{_tag(_hash(hashed_number) % PARTITIONS)}:wrong-pins:{hashed_number}"


def vacated_seat(name: str, seat: str) -> str:
    """The mark of a seat that was given up and must not be taken any more."""
    return f"{_tag(partition_of_room(name))}:left:{seat}"


def room_closed_at(name: str) -> str:
    """When the room was closed, for as long as anything is good that was issued before."""
    return f"{_tag(partition_of_room(name))}:closed:{name}"


def used_invitation(room: str, invitation: str) -> str:
    """The visit that an invitation has become, or a mark that it was ended."""
    return f"{_tag(partition_of_room(room))}:invitation:{invitation}"


def ended_visit(room: str, visit: str) -> str:
    """The mark of a visit that was ended."""
    return f"{_tag(partition_of_room(room))}:visit:{visit}"


def passes(room: str) -> str:
    """The invitations and visits of a room that are open."""
    return f"{_tag(partition_of_room(room))}:passes:{room}"


def passes_until(room: str) -> str:
    """The same by the time at which they run out."""
    return f"{_tag(partition_of_room(room))}:passes-until:{room}"


def idempotency_key(api_key: str, idempotency: str) -> str:
    """What was asked for under an idempotency key, which is the asker's own and not ours to show."""
    name = hashlib.sha256(f"{api_key}\0{idempotency}".encode()).hexdigest()[:32]
    return f"{_tag(_hash(api_key) % PARTITIONS)}:once:{name}"


def placed(api_key: str, by: str = "") -> str:
    """The calls that an API key, or `by` some who may do so in its name, have placed in the last hour."""
    name = hashlib.sha256(f"{api_key}\0{by}".encode() if by else api_key.encode()).hexdigest()[:16]
    return f"{_tag(_hash(api_key) % PARTITIONS)}:placed:{name}"


def concurrent_calls(api_key: str, by: str = "") -> str:
    """Calls that a key, or `by` some in its name, has ordered and that may be up, by when last looked at."""
    name = hashlib.sha256(f"{api_key}\0{by}".encode() if by else api_key.encode()).hexdigest()[:16]
    return f"{_tag(_hash(api_key) % PARTITIONS)}:up:{name}"


def all_concurrent_calls() -> str:
    """The same for all API keys together, in one slot."""
    return f"{_tag(0)}:up-all"


def news(partition: int) -> str:
    """What has changed of calls and rooms, for who looks on."""
    return f"{_tag(partition)}:news"


def paused() -> str:
    """That no new calls are taken, which goes for all partitions."""
    return f"{_tag(0)}:paused"


def replica(id_: str) -> str:
    """What a replica says of itself. Few and short, they are all in one slot, to be read together."""
    return f"{_tag(0)}:replica:{id_}"


def replicas() -> str:
    """The replicas by the time at which something was heard of them."""
    return f"{_tag(0)}:replicas"


def standby() -> str:
    """Replicas that leave to others what asks something of Bandwidth, by when that ends."""
    return f"{_tag(0)}:aside"


def clock() -> str:
    """How the time that all replicas share follows from the clock of this key's server."""
    return f"{_tag(0)}:clock"


def marker(partition: int) -> str:
    """What is there as long as the store has kept everything."""
    return f"{_tag(partition)}:marker"


def agenda(partition: int) -> str:
    """Who owes work, by the time from which it is due."""
    return f"{_tag(partition)}:agenda"


def searched(partition: int) -> str:
    """That the partition was looked through a while ago, for who owes nothing any more and should."""
    return f"{_tag(partition)}:searched"


def unknown(partition: int) -> str:
    """Kinds of work and who owes it, by when a release looked at it that does not know it."""
    return f"{_tag(partition)}:unknown"


def offered(partition: int) -> str:
    """The same for releases that know it, until one has claimed it."""
    return f"{_tag(partition)}:offered"


def dead(partition: int) -> str:
    """Effects that were laid aside, by the time at which they were."""
    return f"{_tag(partition)}:dead"


def owed(owner: str) -> str:
    """The effects that an owner owes, in order."""
    return _owed(partition_of_owner(owner), owner)


def owner_call(ref: str) -> str:
    return f"call:{ref}"


def owner_room(name: str) -> str:
    return f"room:{name}"


def partition_of_owner(owner: str) -> int:
    kind, _, name = owner.partition(":")
    return partition_of_ref(name) if kind == "call" else partition_of_room(name)


def prefix(partition: int) -> str:
    """What all keys of a partition begin with."""
    return _tag(partition)


def _call(partition: int, ref: str) -> str:
    return f"{_tag(partition)}:call:{ref}"


def _owed(partition: int, owner: str) -> str:
    return f"{_tag(partition)}:owed:{owner}"


def _tag(partition: int) -> str:
    return _TAGS[partition]


def _hash(text: str) -> int:
    return hashlib.sha256(text.encode()).digest()[-1]
