"""Takes down participants and sessions at Bandwidth that no store knows. Calls are found, and left alone."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeVar

from service.bandwidth.errors import BandwidthError, NotFound
from service.bandwidth.voice import FoundCall, TooManyCalls, VoiceApi
from service.bandwidth.webrtc import WebRtcApi
from service.clock import Clock
from service.store.known_ids import KnownIds

T = TypeVar("T")

AGE: Final = 600.0
"""Seconds: what is younger may be on its way to whoever is to know of it."""
_CONCURRENCY: Final = 8
_TIMEOUT: Final = 20.0
_LIST_TIMEOUT: Final = 120.0
_TRIES: Final = 5
_PAUSE: Final = 1.0
_LONGEST: Final = 60.0
"""Seconds for which a Retry-After is obeyed."""
_SHORTEST: Final = 60.0
"""Seconds: calls of less time are not asked for, however many there are."""
_REFUSED_CODES: Final = frozenset({"unauthorized", "forbidden", "no-token"})

ResourceKind = Literal["participant", "session"]
Fate = Literal["young", "known", "gone", "unsure", "in-use", "left", "taken-down", "failed"]


class BandwidthResource(NamedTuple):
    kind: ResourceKind
    id: str
    created_at: float
    """Seconds since the epoch."""
    room: str = ""


class SweepVerdict(NamedTuple):
    """`fate`: `left` is what would be taken down; `in-use` a session with members that are not.

    `unsure`: it was made before the store lost what it held, so that the store does not say who is in it.
    """

    resource: BandwidthResource
    fate: Fate
    detail: str = ""


class OrphanSweeper:
    """Raises StoreError, and BandwidthError where no request would fare better. Without `apply` it only asks.

    `on_progress`: is given how many things have been seen to, and of how many. `store_lost_at`: when the
    store has lost what it held, in seconds since the epoch; 0 for never.
    """

    def __init__(
        self,
        *,
        webrtc: WebRtcApi,
        known: KnownIds,
        clock: Clock,
        apply: bool,
        on_progress: Callable[[int, int], None],
        store_lost_at: float = 0,
    ) -> None:
        self._webrtc = webrtc
        self._known = known
        self._clock = clock
        self._apply = apply
        self._on_progress = on_progress
        self._store_lost_at = store_lost_at
        self._done = 0

    async def sweep(self, resources: Collection[BandwidthResource]) -> list[SweepVerdict]:
        """Participants before sessions, so that nobody is inside of what is deleted."""
        oldest = self._clock.now() - AGE
        old = [one for one in resources if one.created_at <= oldest]
        known = await self._known.filter_known(one.id for one in old)
        judged = [SweepVerdict(one, "young") for one in resources if one.created_at > oldest]
        judged += [SweepVerdict(one, "known") for one in old if one.id in known]
        unknown = [one for one in old if one.id not in known and one.created_at > self._store_lost_at]
        judged += [
            SweepVerdict(one, "unsure")
            for one in old
            if one.id not in known and one.created_at <= self._store_lost_at
        ]
        participants = await self._each(unknown, "participant", self._judge_participant)
        gone = {one.resource.id for one in participants if one.fate in {"gone", "left", "taken-down"}}
        sessions = await self._each(unknown, "session", lambda one: self._judge_session(one, gone))
        return [*judged, *participants, *sessions]

    async def _each(
        self,
        resources: Sequence[BandwidthResource],
        kind: ResourceKind,
        judge: Callable[[BandwidthResource], Awaitable[tuple[Fate, str]]],
    ) -> list[SweepVerdict]:
        todo = iter([one for one in resources if one.kind == kind])
        judged: list[SweepVerdict] = []

        async def work() -> None:
            for thing in todo:
                try:
                    fate, detail = await judge(thing)
                except BandwidthError as error:
                    if error.code in _REFUSED_CODES:
                        raise
                    fate, detail = "failed", str(error)
                judged.append(SweepVerdict(thing, fate, detail))
                self._done += 1
                self._on_progress(self._done, len(resources))

        await asyncio.gather(*(work() for _ in range(_CONCURRENCY)))
        return sorted(judged, key=lambda one: one.resource.created_at)

    async def _judge_participant(self, resource: BandwidthResource) -> tuple[Fate, str]:
        if not await self._with_retries(
            lambda attempt: self._webrtc.has_participant(resource.id, timeout=_TIMEOUT, attempt=attempt)
        ):
            return "gone", ""
        if self._apply:
            await self._with_retries(
                lambda attempt: self._webrtc.delete_participant(
                    resource.id, timeout=_TIMEOUT, attempt=attempt
                )
            )
        return self._fate

    async def _judge_session(self, resource: BandwidthResource, gone: Collection[str]) -> tuple[Fate, str]:
        try:
            members = await self._with_retries(
                lambda attempt: self._webrtc.list_participants(resource.id, timeout=_TIMEOUT, attempt=attempt)
            )
        except NotFound:
            return "gone", ""
        if others := set(members).difference(gone):
            return "in-use", f"{len(others)} members that are not taken down"
        if self._apply:
            await self._with_retries(
                lambda attempt: self._webrtc.delete_session(resource.id, timeout=_TIMEOUT, attempt=attempt)
            )
        return self._fate

    @property
    def _fate(self) -> tuple[Fate, str]:
        return ("taken-down" if self._apply else "left"), ""

    async def _with_retries(self, request: Callable[[int], Awaitable[T]]) -> T:
        return await with_retries(request, self._clock)


async def with_retries(request: Callable[[int], Awaitable[T]], clock: Clock) -> T:
    """What may pass is tried again. Raises BandwidthError."""
    pause, attempt = _PAUSE, 1
    while True:
        try:
            return await request(attempt)
        except BandwidthError as error:
            if not error.retryable or attempt == _TRIES:
                raise
            await clock.sleep(min(max(pause, error.retry_after or 0), _LONGEST))
        pause, attempt = pause * 2, attempt + 1


async def unknown_calls(
    voice: VoiceApi, known: KnownIds, clock: Clock, *, application_id: str, since: float
) -> list[FoundCall]:
    """Calls of this application that are up at Bandwidth and that the store does not know, oldest first.

    Nobody hangs them up: a call that lives makes itself known by its webhooks.
    """
    found = await _calls(voice, clock, since, clock.now() + 1)
    up = [
        one
        for one in found.values()
        if one.application_id == application_id and one.state != "disconnected" and not one.end_time
    ]
    ids = [id_ for one in up for id_ in (one.call_id, one.parent_call_id) if id_]
    # A leg of ours is no call of its own: its phone's names it.
    theirs = await known.filter_known_calls(ids) | await known.filter_known(ids)
    return [one for one in up if theirs.isdisjoint({one.call_id, one.parent_call_id or one.call_id})]


async def _calls(voice: VoiceApi, clock: Clock, since: float, until: float) -> Mapping[str, FoundCall]:
    """In halves where there are more than a list may have."""

    async def ask(attempt: int) -> Iterable[FoundCall]:
        return await voice.list_calls(since=since, until=until, timeout=_LIST_TIMEOUT, attempt=attempt)

    try:
        return {one.call_id: one for one in await with_retries(ask, clock)}
    except TooManyCalls:
        if until - since < _SHORTEST:
            raise
    middle = (since + until) / 2
    return {
        **await _calls(voice, clock, since, middle),
        **await _calls(voice, clock, middle, until),
    }
