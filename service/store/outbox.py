"""Stores owed effects: commits and room scripts write them, workers take them under a lease."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from service.calls.effects import (
    EFFECT_TAGS,
    CheckCall,
    CheckRoom,
    Effect,
    ReplaceSession,
    Scheduled,
    effect_tag,
    shown_name,
)
from service.store import keys
from service.store.compression import compress_text
from service.store.keys import OwnerKeys
from service.store.redis.client import Client
from service.store.redis.scripts import Script
from service.store.script_values import ms, nearest_ms
from service.store.timeline import pack_entry
from service.store.unknown_fields import unknown_fields, with_unknown_fields

_CLAIM: Final = Script("agenda_claim")
_WORK: Final = Script("owed_work")

_CLAIM_MS: Final = 5_000
"""Milliseconds between a claim and the first round of its worker."""

_LETTERS: Final = 1_000
"""Dead letters that a partition keeps: the newest."""
_LETTERS_TTL: Final = 30 * 24 * 3_600_000
"""Milliseconds from the latest."""

MAX_TIMELINE_ENTRIES: Final = 200
"""Entries kept of one call's timeline."""

IMPLIED: Final = '{"type":"*"}'
"""In place of an effect whose id and owner say all of it. Every call and room owes one or two, and a hash of
values up to 64 bytes takes a third of the memory. An older release leaves them to others."""
_IMPLIED: Final = IMPLIED.encode()

TimelineEntry = dict[str, object]
"""Of a timeline."""

_encode = msgspec.json.Encoder().encode
_decode: msgspec.json.Decoder[Effect] = msgspec.json.Decoder(Effect)


UNREADABLE: Final = "unreadable"


class UnreadableEffect(msgspec.Struct, frozen=True):
    """An effect of a newer release, which its replicas carry out; or one that nobody can read."""

    name: str
    """The one that is shown; `UNREADABLE` where there is none."""
    left_to_others: bool = False
    """Whether the store has left it to those who know its kind; others are not given it again for a while."""


class DueEffect(msgspec.Struct, frozen=True):
    """One owed effect, due now."""

    id: str
    version: str
    """What is struck off: an effect that was owed anew in the meantime stays."""
    tries: int
    since: float
    """Seconds since the epoch: when it was owed, later by as long as nobody could send it."""
    effect: Effect | UnreadableEffect
    text: bytes = b""
    """The effect as it is kept."""

    def encode_replacement(self, effect: Effect) -> str:
        """Another in its place, with what a newer release has written of it."""
        kept = unknown_fields(self.text, effect) if self.text not in {b"", _IMPLIED} else b""
        return with_unknown_fields(_encode(effect), kept).decode()


class Postponed(NamedTuple):
    """An effect that is put off."""

    effect: DueEffect
    due: float
    """Seconds since the epoch."""
    counts_as_try: bool = True
    """Whether it counts as a try; if not, the time until it is due again does not count either."""
    has_failed: bool = True
    """Whether it was to be done by now; what fails for too long is laid aside."""
    replacement: Effect | None = None
    """The effect with what was learned of it, to be kept in its place."""


class GivenUp(NamedTuple):
    """An effect that is laid aside for somebody to look at."""

    effect: DueEffect
    error: str


class Outbox:
    """The owed effects of calls and rooms. An owner is `call:<ref>` or `room:<name>`.

    With `compress` what timelines are told is compressed. `kinds`: of effects that are carried out here.
    """

    def __init__(
        self,
        client: Client,
        *,
        worker: str,
        lease: float,
        kinds: Collection[str] = EFFECT_TAGS,
        compress: bool = False,
    ) -> None:
        self._client = client
        self._known = f" {' '.join(sorted(kinds))} "
        self._worker = worker
        self._compress = compress
        self._lease = ms(lease)

    async def claim(self, partition: int, *, now: float, limit: int) -> list[str]:
        """Owners with due work, put off for a moment: whoever claims them begins at once, and takes a lease.

        Should the answer be lost on the way, that moment is all that is lost.
        """
        owners = await self._client.run(
            _CLAIM,
            {"agenda": keys.agenda(partition), "offered": keys.offered(partition)},
            {"now": ms(now), "lease": _CLAIM_MS, "limit": limit, "kinds": self._known},
        )
        return [owner.decode() for owner in owners]

    async def settle(
        self,
        owner: str,
        *,
        now: float,
        done: Sequence[DueEffect] = (),
        postponed: Sequence[Postponed] = (),
        given_up: Sequence[GivenUp] = (),
        timeline_entries: Mapping[str, TimelineEntry] = MappingProxyType({}),
        busy: bool = False,
        release: bool = False,
    ) -> list[DueEffect]:
        """Strike off what was done, put off what was not, and take what is due; nothing due ends the lease.

        With `busy` the lease goes on all the same: some request of this worker has not been answered.

        `timeline_entries`: by the id of the effect what a call's timeline is told of it; a room has none.
        With `release` the lease ends here, and what is due is left to whoever looks next.
        """
        texts = bytearray()

        def tell(work: DueEffect) -> tuple[int, int]:
            """Where its entry begins and ends among all."""
            begin = len(texts) + 1
            if owner.startswith("call:") and (entry := timeline_entries.get(work.id)) is not None:
                text = pack_entry(entry)
                texts.extend(compress_text(text) if self._compress else text)
            return begin, len(texts)

        at = OwnerKeys.of(owner)
        found = await self._client.run(
            _WORK,
            {
                "owed": at.owed,
                "agenda": at.agenda,
                "dead": at.dead,
                "timeline": at.timeline,
                "unknown": at.unknown,
                "offered": at.offered,
            },
            {
                "now": ms(now),
                "worker": self._worker,
                "lease": 0 if release else self._lease,
                "busy": int(busy),
                "owner": owner,
                "done": _encode([(work.id, work.version, tell(work)) for work in done]),
                "later": _encode(
                    [
                        (
                            one.effect.id,
                            ms(one.due),
                            int(one.counts_as_try),
                            one.effect.version,
                            not one.has_failed,
                            tell(one.effect),
                            "" if one.replacement is None else one.effect.encode_replacement(one.replacement),
                            nearest_ms(one.effect.since),
                        )
                        for one in postponed
                    ]
                ),
                "laid_aside": _encode(
                    [(one.effect.id, one.effect.version, one.error, tell(one.effect)) for one in given_up]
                ),
                "told": bytes(texts),
                "letters": _LETTERS,
                "letters_ttl": _LETTERS_TTL,
                "entries": MAX_TIMELINE_ENTRIES,
                "kinds": self._known,
            },
        )
        if release:
            return []
        fields = iter(found)
        return [
            DueEffect(
                id=id_.decode(),
                version=version.decode(),
                tries=int(tries),
                since=int(since) / 1000,
                effect=UnreadableEffect(_shown_name_of(effect), left_to_others=True)
                if strange
                else read_effect(effect, owner, id_.decode()),
                text=effect,
            )
            for id_, version, tries, since, effect, strange in zip(*[fields] * 6, strict=True)
        ]


def encode_scheduled(scheduled: Scheduled) -> tuple[str, int, str, str]:
    """The form in which scripts take an effect of a call: id, due in milliseconds, lane, effect."""
    effect = scheduled.effect
    # Every live call owes this one.
    text = IMPLIED if isinstance(effect, CheckCall) else _encode(effect).decode()
    return effect.id, ms(scheduled.due), effect.lane, text


def encode_effect(effect: Effect, target: str) -> tuple[str, str]:
    return f"{effect_tag(effect)}:{target}", _encode(effect).decode()


def _implied(owner: str, id_: str) -> Effect | None:
    kind, (_, _, name), (_, _, session_id) = id_.partition(":")[0], owner.partition(":"), id_.partition(":")
    match kind:
        case "ask-after":
            return CheckCall(name)
        case "replace-session":
            return ReplaceSession(name, session_id)
        case "check-room":
            return CheckRoom(name, session_id)
    return None


class _Tagged(msgspec.Struct):
    type: str


def read_effect(effect: bytes, owner: str, id_: str) -> Effect | UnreadableEffect:
    if effect == _IMPLIED and (implied := _implied(owner, id_)) is not None:
        return implied
    try:
        return _decode.decode(effect)
    except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors
        return UnreadableEffect(_shown_name_of(effect))


def _shown_name_of(effect: bytes) -> str:
    try:
        return shown_name(msgspec.json.decode(effect, type=_Tagged).type)
    except (ValueError, RecursionError):
        return UNREADABLE
