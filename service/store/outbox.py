"""Owed effects in the store: written down by commits and room scripts, worked off under a lease."""

from typing import Final

import msgspec

from service.calls.effects import Effect, Owed, name_of
from service.store import keys
from service.store.client import Client
from service.store.scripts import Script

_CLAIM: Final = Script("agenda_claim")
_WORK: Final = Script("owed_work")

_CLAIMED: Final = 5_000
"""Milliseconds between a claim and the first round of its worker."""

_encode = msgspec.json.Encoder().encode
_decode: msgspec.json.Decoder[Effect] = msgspec.json.Decoder(Effect)


class Work(msgspec.Struct, frozen=True):
    """One owed effect, due now."""

    id: str
    version: str
    """What is struck off: an effect that was owed anew in the meantime stays."""
    tries: int
    since: float
    """Seconds since the epoch: when it was owed."""
    effect: Effect


class Outbox:
    """The owed effects of calls and rooms. An owner is `call:<ref>` or `room:<name>`."""

    def __init__(self, client: Client, *, worker: str, lease: float) -> None:
        self._client = client
        self._worker = worker
        self._lease = int(lease * 1000)

    async def claim(self, partition: int, *, now: float, limit: int) -> list[str]:
        """Owners with due work, put off for a moment: whoever claims them begins at once, and takes a lease.

        Should the answer be lost on the way, that moment is all that is lost.
        """
        owners = await self._client.run(
            _CLAIM,
            {"agenda": keys.agenda(partition)},
            {"now": _ms(now), "lease": _CLAIMED, "limit": limit},
        )
        return [owner.decode() for owner in owners]

    async def work(
        self,
        owner: str,
        *,
        now: float,
        done: list[Work],
        later: list[tuple[Work, float]],
        release: bool = False,
    ) -> list[Work]:
        """Strike off what was done, put off what was not, and take what is due; nothing due ends the lease.

        With `release` the lease ends here, and what is due is left to whoever looks next.
        """
        found = await self._client.run(
            _WORK,
            {"owed": keys.owed(owner), "agenda": keys.agenda(keys.partition_of_owner(owner))},
            {
                "now": _ms(now),
                "worker": self._worker,
                "lease": 0 if release else self._lease,
                "owner": owner,
                "done": _encode([(work.id, work.version) for work in done]),
                "later": _encode([(work.id, _ms(due)) for work, due in later]),
            },
        )
        if release:
            return []
        fields = iter(found)
        return [
            Work(
                id=id_.decode(),
                version=version.decode(),
                tries=int(tries),
                since=int(since) / 1000,
                effect=_decode.decode(effect),
            )
            for id_, version, tries, since, effect in zip(*[fields] * 5, strict=True)
        ]


def encode_owed(owed: Owed) -> tuple[str, int, str, str]:
    """The form in which scripts take an effect of a call: id, due in milliseconds, lane, effect."""
    effect = owed.effect
    return effect.id, _ms(owed.due), effect.lane, _encode(effect).decode()


def encode_effect(effect: Effect, target: str) -> tuple[str, str]:
    return f"{name_of(effect)}:{target}", _encode(effect).decode()


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
