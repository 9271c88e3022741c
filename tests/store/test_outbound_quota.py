"""Placing calls: once under one idempotency key, and so many in an hour."""

import asyncio

import pytest
from redis.asyncio import Redis

from service.store.outbound_quota import (
    IdempotencyMismatch,
    OutboundQuota,
    QuotaExceeded,
    QuotaGranted,
    QuotaRequest,
)
from service.store.redis.client import Client
from tests.store.repeating import contents

HOUR = 3600
NOW = 472_222.0 * HOUR


@pytest.fixture
def admission(repeating: Client) -> OutboundQuota:
    return OutboundQuota(repeating, per_hour=2)


async def admit(
    admission: OutboundQuota,
    ref: str,
    *,
    api_key: str = "shop",
    once: str = "",
    visit: str = "",
    digest: str = "d",
    now: float = NOW,
) -> QuotaGranted | IdempotencyMismatch | QuotaExceeded:
    return await admission.claim(QuotaRequest(api_key, now, once, visit), digest=digest, ref=ref)


async def test_asked_twice_it_is_one_call(admission: OutboundQuota) -> None:
    assert await admit(admission, "r1", once="k") == QuotaGranted("r1", is_new=True)
    for ref in ("r2", "r3", "r4"):
        assert await admit(admission, ref, once="k") == QuotaGranted("r1", is_new=False)
    assert await admit(admission, "r5") == QuotaGranted("r5", is_new=True), "only one was counted"


async def test_sent_again_it_is_still_to_be_placed(admission: OutboundQuota) -> None:
    """The reply was lost, and with it that the call may be placed; its ref is new for each request."""
    for _ in range(2):
        assert await admit(admission, "r1", once="k") == QuotaGranted("r1", is_new=True)
        assert await admit(admission, "r2") == QuotaGranted("r2", is_new=True)
    assert isinstance(await admit(admission, "r3"), QuotaExceeded), "each was counted once"


async def test_something_else_under_the_same_key(admission: OutboundQuota) -> None:
    await admit(admission, "r1", once="k")
    await admit(admission, "r2")
    assert await admit(admission, "r3", once="k", digest="e") == IdempotencyMismatch()


async def test_without_an_idempotency_key_each_is_a_call(admission: OutboundQuota, redis: Redis) -> None:
    assert await admit(admission, "r1") == QuotaGranted("r1", is_new=True)
    assert await admit(admission, "r2", digest="e") == QuotaGranted("r2", is_new=True)
    assert [name for name in await contents(redis) if ":once:" in name] == []


async def test_so_many_in_an_hour(admission: OutboundQuota) -> None:
    for ref in ("r1", "r2"):
        await admit(admission, ref, once=ref)
    assert await admit(admission, "r3", once="k", now=NOW + 600) == QuotaExceeded(3000, 2)
    assert await admit(admission, "r4", once="r1") == QuotaGranted("r1", is_new=False), (
        "it is under way already"
    )
    assert await admit(admission, "r3", once="k", now=NOW + HOUR) == QuotaGranted("r3", is_new=True)


async def test_the_hour_rolls(admission: OutboundQuota) -> None:
    """Twice the allowance around the full hour, as fixed hours would have it, is refused."""
    late = NOW + HOUR - 60
    for n, ref in enumerate(("r1", "r2")):
        assert await admit(admission, ref, now=late + n) == QuotaGranted(ref, is_new=True)
    assert await admit(admission, "r3", now=late + 120) == QuotaExceeded(HOUR - 120, 2)
    assert await admit(admission, "r3", now=late + HOUR) == QuotaGranted("r3", is_new=True), (
        "the first is old"
    )
    assert await admit(admission, "r4", now=late + HOUR) == QuotaExceeded(1, 2), "the second is not"


async def test_a_limit_that_was_lowered(repeating: Client) -> None:
    for n in range(3):
        await admit(OutboundQuota(repeating, per_hour=3), f"r{n}", now=NOW + n)
    one, none = (OutboundQuota(repeating, per_hour=limit) for limit in (1, 0))
    assert await admit(one, "r3", now=NOW + 10) == QuotaExceeded(HOUR - 8, 1), "until all three are old"
    assert await admit(none, "r3", now=NOW + 10) == QuotaExceeded(HOUR, 0)


async def test_each_api_key_is_for_itself(admission: OutboundQuota) -> None:
    for ref in ("r1", "r2"):
        await admit(admission, ref, once=ref)
    assert await admit(admission, "r3", once="r1", api_key="desk") == QuotaGranted("r3", is_new=True)


async def test_many_at_once(client: Client) -> None:
    admission = OutboundQuota(client, per_hour=3)
    answers = await asyncio.gather(*(admit(admission, f"r{n}") for n in range(9)))
    assert sum(isinstance(answer, QuotaGranted) for answer in answers) == 3


async def test_what_is_kept_and_for_how_long(admission: OutboundQuota, redis: Redis) -> None:
    await admit(admission, "r1", once="key-of-the-shop")
    names = list(await contents(redis))
    assert sorted([await redis.ttl(name) for name in names]) == pytest.approx([HOUR, 24 * HOUR], abs=2)
    assert "shop" not in "".join(names)
    assert len({name.split("}")[0] for name in names}) == 1, "one partition"


async def test_visitors_have_half_and_each_visit_half_of_that(repeating: Client, redis: Redis) -> None:
    admission = OutboundQuota(repeating, per_hour=9)

    async def admitted(count: int, visit: str = "", api_key: str = "shop") -> int:
        refs = [f"{api_key}{visit}{n}" for n in range(count)]
        answers = [await admit(admission, ref, api_key=api_key, visit=visit) for ref in refs]
        return sum(isinstance(answer, QuotaGranted) for answer in answers)

    assert await admitted(9, visit="ada") == 2
    assert await admitted(9, visit="bob") == 2
    assert await admitted(9, visit="cleo") == 0, "four of nine are the visitors'"
    assert await admitted(9) == 5, "the rest is left to the key"
    assert await admitted(9, api_key="desk", visit="ada") == 2, "other keys have theirs"
    assert not [name for name in await contents(redis) if "ada" in name]


async def test_a_key_may_take_what_its_visitors_have_not(repeating: Client) -> None:
    admission = OutboundQuota(repeating, per_hour=3)
    for n in range(3):
        assert isinstance(await admit(admission, f"r{n}"), QuotaGranted)
    assert await admit(admission, "r3", visit="ada") == QuotaExceeded(3600, 3)


async def test_a_call_that_never_was_may_be_asked_for_again(admission: OutboundQuota) -> None:
    by = QuotaRequest("shop", NOW, "k")
    await admit(admission, "r1", once="k")
    await admission.release(by, ref="r1")
    assert await admit(admission, "r2", once="k", digest="e") == QuotaGranted("r2", is_new=True)
    await admission.release(by, ref="r1")
    assert await admit(admission, "r3", once="k", digest="e") == QuotaGranted("r2", is_new=False), (
        "sent again"
    )


async def test_a_call_that_never_was_is_given_back(admission: OutboundQuota) -> None:
    for n in range(5):
        assert await admit(admission, f"r{n}") == QuotaGranted(f"r{n}", is_new=True)
        await admission.release(QuotaRequest("shop", NOW), ref=f"r{n}")
    for ref in ("r5", "r6"):
        assert await admit(admission, ref) == QuotaGranted(ref, is_new=True)
    assert isinstance(await admit(admission, "r7"), QuotaExceeded)


async def test_what_a_visit_has_tried_counts_for_itself_alone(repeating: Client) -> None:
    """Or one browser could have Bandwidth asked for what it refuses without end."""
    admission = OutboundQuota(repeating, per_hour=8)

    async def given_back(visit: str) -> int:
        for n in range(9):
            if not isinstance(await admit(admission, f"{visit}{n}", visit=visit), QuotaGranted):
                return n
            await admission.release(QuotaRequest("shop", NOW, visit=visit), ref=f"{visit}{n}")
        return 9

    assert [await given_back(visit) for visit in ("ada", "bob", "cleo", "dora")] == [2, 2, 2, 2]
    assert all([isinstance(await admit(admission, f"r{n}"), QuotaGranted) for n in range(8)])
