"""Reads owed effects and dead letters for API and command line."""

import hashlib
import re
from collections.abc import Sequence
from typing import Final

import msgspec

from service.calls.effects import Effect, effect_name
from service.calls.refs import PARTITIONS
from service.store import keys
from service.store.keys import OwnerKeys
from service.store.outbox import UnreadableEffect, read_effect
from service.store.redis.client import Client
from service.store.redis.scripts import Script
from service.store.script_values import ms, pairs

_AGENDA: Final = Script("agenda_read")
_OWED: Final = Script("owed_read")
_DEAD: Final = Script("dead_read")
_REPLAY: Final = Script("dead_replay")
_DROP: Final = Script("dead_drop")
_RETRY: Final = Script("owed_retry")
_FORGET: Final = Script("owed_drop")
_NAME: Final = 10
"""Characters of the name of an effect or a dead letter."""


class OwedEffect(msgspec.Struct, frozen=True):
    """Times are seconds since the epoch."""

    owner: str
    """`call:<ref>` or `room:<name>`."""
    effect_name: str
    due: float
    since: float
    tries: int
    """How often it has been tried in vain."""
    effect: Effect | UnreadableEffect
    id: str

    @property
    def name(self) -> str:
        """By which it is retried or dropped: the same as long as it is owed."""
        return hashlib.sha256(f"{self.owner}/{self.id}".encode()).hexdigest()[:_NAME]


class DeadLetter(msgspec.Struct, frozen=True):
    """An effect that was tried for too long and laid aside. Times are seconds since the epoch."""

    name: str
    """By which it is replayed or dropped."""
    owner: str
    effect: Effect | UnreadableEffect
    since: float
    died: float
    tries: int
    error: str
    text: bytes
    """As the store keeps it."""

    @property
    def effect_name(self) -> str:
        return self.effect.name if isinstance(self.effect, UnreadableEffect) else effect_name(self.effect)


class _StoredLetter(msgspec.Struct):
    owner: str
    id: str
    lane: str
    tries: int
    since: float
    died: float
    error: str
    effect: str


_FORM: Final = re.compile(r"[0-9]+ ([0-9]+) \S+ ([0-9]+) ([0-9]+) (.*)", re.DOTALL)
_decode: Final = msgspec.json.Decoder(_StoredLetter).decode


class OutboxIndex:
    """Raises StoreUnavailable."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def list_owed(self, *, limit: int) -> list[OwedEffect]:
        """What is owed, the earliest due first: that of `limit` owners in each partition."""
        agendas = await self._client.run_many(
            _AGENDA, [({"agenda": keys.agenda(one)}, {"limit": limit}) for one in range(PARTITIONS)]
        )
        return await self.list_owed_by([owner.decode() for agenda in agendas for owner, _ in pairs(agenda)])

    async def list_owed_by(self, owners: Sequence[str]) -> list[OwedEffect]:
        """What these owe, the earliest due first."""
        every = await self._client.run_many(_OWED, [({"owed": keys.owed(owner)}, {}) for owner in owners])
        found = []
        for owner, flat in zip(owners, every, strict=True):
            found += [
                _owed_effect(owner, name.decode(), value.decode())
                for name, value in pairs(flat)
                if not name.startswith(b".")
            ]
        return sorted(found, key=lambda one: one.due)

    async def list_dead_letters(self) -> list[DeadLetter]:
        """All dead letters, oldest first."""
        every = await self._client.run_many(
            _DEAD, [({"dead": keys.dead(partition)}, {}) for partition in range(PARTITIONS)]
        )
        found = [_dead_letter(text) for texts in every for text in texts]
        return sorted(found, key=lambda one: one.died)

    async def replay_dead_letter(self, letter: DeadLetter, *, now: float) -> bool:
        """Owe its effect again, from now on; False when somebody has replayed or dropped it before."""
        kept = _decode(letter.text)
        at = OwnerKeys.of(letter.owner)
        again = await self._client.run(
            _REPLAY,
            {"owed": at.owed, "agenda": at.agenda, "dead": at.dead},
            {
                "now": ms(now),
                "letter": letter.text,
                "owner": kept.owner,
                "id": kept.id,
                "lane": kept.lane,
                "effect": kept.effect,
            },
        )
        return bool(again)

    async def drop_dead_letter(self, letter: DeadLetter) -> bool:
        """Forget it; False when somebody has replayed or dropped it before."""
        dead = OwnerKeys.of(letter.owner).dead
        dropped = await self._client.run(_DROP, {"dead": dead}, {"letter": letter.text})
        return bool(dropped)

    async def retry_owed(self, effect: OwedEffect, *, now: float) -> bool:
        """Have it done from now on, whatever it waits for; False when it is not owed any more."""
        return await self._change(_RETRY, effect, now)

    async def drop_owed(self, effect: OwedEffect, *, now: float) -> bool:
        """False when it is not owed any more. What was behind it goes on."""
        return await self._change(_FORGET, effect, now)

    async def _change(self, script: Script, effect: OwedEffect, now: float) -> bool:
        at = OwnerKeys.of(effect.owner)
        changed = await self._client.run(
            script,
            {"owed": at.owed, "agenda": at.agenda},
            {"now": ms(now), "owner": effect.owner, "id": effect.id},
        )
        return bool(changed)


def _owed_effect(owner: str, id_: str, value: str) -> OwedEffect:
    """From the form that `owed.lua` describes. What has another one is unreadable, and can be dropped."""
    form = _FORM.fullmatch(value)
    due, tries, since, text = form.groups() if form else ("0", "0", "0", "")
    effect = read_effect(text.encode(), owner, id_)
    return OwedEffect(
        id=id_,
        owner=owner,
        effect_name=effect.name if isinstance(effect, UnreadableEffect) else effect_name(effect),
        due=int(due) / 1000,
        since=int(since) / 1000,
        tries=int(tries),
        effect=effect,
    )


def _dead_letter(text: bytes) -> DeadLetter:
    kept = _decode(text)
    return DeadLetter(
        name=hashlib.sha256(text).hexdigest()[:_NAME],
        owner=kept.owner,
        effect=read_effect(kept.effect.encode(), kept.owner, kept.id),
        since=kept.since / 1000,
        died=kept.died / 1000,
        tries=kept.tries,
        error=kept.error,
        text=text,
    )
