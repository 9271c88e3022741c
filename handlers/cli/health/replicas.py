"""What the replicas say of themselves: nobody else knows of their breakers, or whom they turn away."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from handlers.cli.health.finding import Finding
from handlers.cli.times import span
from service.bandwidth.breaker import MAX_PAUSE, MIN_PAUSE
from service.store.replicas import ReplicaReport

_COST: Final = {
    "creates": "callers who come now are turned away",
    "clean-up": "what is over is not taken down, and goes on costing",
    "questions": "what nobody has told us is not found out",
    "tokens": "no new token: callers are turned away once the old one ends",
}
_BREAKER: Final = (
    "a breaker is our own: it holds such requests back, since they have failed in a row, and sends one every "
    f"{MIN_PAUSE:.0f} to {MAX_PAUSE:.0f} s until that succeeds; what failed: docs/runbook.md, "
    "PstnBandwidthFailing"
)
_CUT_OFF: Final = "its egress, name servers or proxy: docs/runbook.md, PstnReplicaAside"
_NTP: Final = "check NTP there and where the store runs: the times in its log are off, and nothing else"
_STARTS: Final = 10.0
"""Seconds in which one that begins gets its token."""
_RECENT: Final = 900.0
"""Seconds for which a webhook at a wrong address is told of: whoever has corrected it should see that."""


class _Trouble(NamedTuple):
    found: str
    do: str


def check_replicas(replicas: Sequence[ReplicaReport], now: float) -> Iterator[Finding]:
    versions = sorted({one.version for one in replicas})
    if not replicas:
        do = "start one; those of a release before this say nothing of themselves"
        yield Finding("replicas", "warn", "none has been heard of in the last 20 s", do)
    elif len(versions) > 1:
        do = "end the deploy, or roll it back: side by side is for as long as it takes"
        yield Finding("replicas", "warn", f"{len(replicas)}, of versions {', '.join(versions)}", do)
    else:
        yield Finding("replicas", "ok", f"{len(replicas)} told us of themselves, version {versions[0]}")
    for one in replicas:
        yield _replica(one, now)


def _replica(one: ReplicaReport, now: float) -> Finding:
    troubles = list(_troubles(one, now))
    words = "; ".join([_describe(one, now), *(trouble.found for trouble in troubles)])
    do = "; ".join(dict.fromkeys(trouble.do for trouble in troubles))
    return Finding(f"replica {one.id[:8]}", "warn" if troubles else "ok", words, do)


def _describe(one: ReplicaReport, now: float) -> str:
    token = "" if one.token_age is None else f", its token {span(one.token_age)} old"
    latest = ", ".join(f"{api} {span(now - at)} ago" for api, at in sorted(one.succeeded.items()))
    heard = f", last success: {latest}" if latest else ", no request to Bandwidth has succeeded yet"
    return (
        f"{one.host} {one.version}, up for {span(now - one.started)}, heard of {span(now - one.at)} ago"
        f"{token}{heard}; {one.webhooks} webhooks taken, {one.refused} refused"
    )


def _troubles(one: ReplicaReport, now: float) -> Iterator[_Trouble]:
    if one.on_standby:
        yield _Trouble(
            f"it stands aside, since it alone cannot reach {', '.join(one.unreachable_apis)}", _CUT_OFF
        )
    elif one.unreachable_apis:
        apis = ", ".join(one.unreachable_apis)
        words = f"it cannot reach {apis}, and no other is known to: callers are turned away"
        yield _Trouble(words, _CUT_OFF)
    for name in one.open_breakers:
        cost = _COST.get(name.partition("/")[2], "its requests fail")
        yield _Trouble(f"breaker {name} is open: {cost}", _BREAKER)
    if not one.has_token and one.at - one.started > _STARTS:
        yield _Trouble("it has had no token yet: callers are turned away", "see the token below")
    if one.clock_offset:
        way = "ahead of" if one.clock_offset > 0 else "behind"
        words = f"its machine's clock is {span(abs(one.clock_offset))} {way} the time that all replicas go by"
        yield _Trouble(words, _NTP)
    if one.draining:
        yield _Trouble("it drains: told to end, it serves for DRAIN_DELAY", "nothing, if that is a deploy")
    if one.refused_by:
        who = ", ".join(f"{peer or 'somebody'} ({count})" for peer, count in one.refused_by.items())
        do = "pstn-bridge logs, webhook.refused, says why. Bandwidth's: CALLBACK_PASSWORD, BW_ACCOUNT_ID"
        yield _Trouble(f"webhooks refused in the last 15 minutes from {who}", do)
    if now - one.misaddressed_at < _RECENT:
        do = "check the application's callback URLs at Bandwidth; see webhook.misaddressed, pstn-bridge logs"
        words = f"{one.misaddressed} webhooks, or what looks like them, came to no address of ours"
        yield _Trouble(f"{words} since its start, the last {span(now - one.misaddressed_at)} ago", do)
