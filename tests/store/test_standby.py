"""Who may stand aside: by what the others say of themselves, and never too many."""

from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from service.store import keys
from service.store.redis.client import Client
from service.store.replicas import ReplicaReport, Replicas
from service.store.standby import LEASE, REPORT_MAX_AGE, StandbyLeases

NOW = 1_796_000_000.0
WELL = ReplicaReport(id="", at=NOW, succeeded={"webrtc": NOW - 1, "voice": NOW - 3000})
CUT_OFF = replace(WELL, unreachable_apis=("webrtc",))


class Replication:
    """Replicas `a`, `b` and so on, as they have told of themselves."""

    def __init__(self, client: Client, redis: Redis) -> None:
        self.replicas = Replicas(client)
        self.tokens = StandbyLeases(client)
        self.redis = redis

    async def tell(self, *reports: ReplicaReport) -> None:
        for id_, report in zip("abcdefgh", reports, strict=False):
            await self.replicas.write(replace(report, id=id_))

    async def may(self, id_: str, *apis: str) -> bool:
        return await self.tokens.renew(id_, apis or ("webrtc",))

    async def age(self, id_: str, seconds: float) -> None:
        """Its report was written so long ago."""
        await self.redis.zincrby(keys.replicas(), -1000 * seconds, id_)

    async def holders(self) -> list[bytes]:
        found: Any = await self.redis.zrange(keys.standby(), 0, -1)
        return list(found)


@pytest.fixture
def all_(client: Client, redis: Redis) -> Replication:
    return Replication(client, redis)


async def test_one_of_two_while_the_other_is_well(all_: Replication, redis: Redis) -> None:
    await all_.tell(CUT_OFF, WELL)
    assert await all_.may("a")
    assert await all_.may("a"), "and goes on"
    assert await all_.holders() == [b"a"]
    assert LEASE * 900 < await redis.pttl(keys.standby()) <= LEASE * 1000
    await all_.tokens.release("a")
    assert await all_.holders() == []


async def test_never_the_only_one(all_: Replication) -> None:
    await all_.tell(CUT_OFF)
    assert not await all_.may("a")
    assert not await all_.may("b"), "nor one that nobody has heard of"


async def test_both_are_cut_off_at_the_same_moment(all_: Replication) -> None:
    """Each takes the other for well, by what it has told before: one stands aside, until the other tells."""
    await all_.tell(WELL, WELL)
    assert await all_.may("a")
    assert not await all_.may("b"), "nobody who serves is left"
    await all_.tell(WELL, CUT_OFF)
    assert not await all_.may("a"), "it serves again, as well as it can"
    assert await all_.holders() == []
    await all_.tell(CUT_OFF, CUT_OFF)
    assert not await all_.may("a")
    assert not await all_.may("b")


@pytest.mark.parametrize(
    ("other", "age", "granted"),
    [
        (WELL, REPORT_MAX_AGE - 2, True),
        (WELL, REPORT_MAX_AGE - 0.5, False),
        (replace(WELL, succeeded={"webrtc": NOW - REPORT_MAX_AGE + 0.5}), 0, True),
        (replace(WELL, succeeded={"webrtc": NOW - REPORT_MAX_AGE - 0.5}), 0, False),
        (replace(WELL, succeeded={"webrtc": NOW - REPORT_MAX_AGE / 2}), REPORT_MAX_AGE / 2 + 0.5, False),
        (replace(WELL, at=NOW + 3600, succeeded={"webrtc": NOW + 3599}), 0, True),
        (replace(WELL, at=NOW - 3600, succeeded={"webrtc": NOW - 3601}), 0, True),
        (replace(WELL, succeeded={"webrtc": NOW + 60}), 0, False),
        (replace(WELL, succeeded={"voice": NOW}), 0, False),
        (replace(WELL, succeeded={}), 0, False),
        (replace(WELL, draining=True), 0, False),
    ],
    ids=[
        "fresh",
        "report-stale",
        "success-fresh",
        "success-stale",
        "both-together-stale",
        "clock-ahead",
        "clock-behind",
        "from-the-future",
        "of-another-api",
        "idle",
        "draining",
    ],
)
async def test_a_stale_report_vouches_for_nobody(
    all_: Replication, other: ReplicaReport, age: float, granted: bool
) -> None:
    await all_.tell(CUT_OFF, other)
    await all_.age("b", age)
    assert await all_.may("a") == granted
    assert await all_.holders() == ([b"a"] if granted else [])


async def test_who_died_before_the_stores_clock_was_set_back_vouches_for_nobody(all_: Replication) -> None:
    """By that clock what it has said lies ahead: nobody knows how old it is."""
    await all_.tell(CUT_OFF, WELL)
    await all_.age("b", -3600)
    assert not await all_.may("a")


async def test_any_of_the_apis_that_are_missed_will_do(all_: Replication) -> None:
    await all_.tell(CUT_OFF, WELL)
    assert await all_.may("a", "voice", "webrtc")
    assert not await all_.may("a", "voice")


@pytest.mark.parametrize(("count", "most"), [(2, 1), (3, 1), (4, 2), (5, 2), (6, 3)])
async def test_never_more_than_half(all_: Replication, count: int, most: int) -> None:
    await all_.tell(*[WELL] * count)
    granted = [id_ for id_ in "abcdef"[:count] if await all_.may(id_)]
    assert granted == list("abcdef"[:most])
    await all_.age("f" if count == 6 else "abcde"[count - 1], REPORT_MAX_AGE + 1)
    still = [id_ for id_ in granted if await all_.may(id_)]
    assert len(still) == (count - 1) // 2, "one that is not heard of does not count"


async def test_who_holds_one_vouches_for_nobody(all_: Replication) -> None:
    await all_.tell(WELL, WELL, *[replace(WELL, succeeded={})] * 2)
    assert await all_.may("a")
    assert await all_.may("b") is False


async def test_what_is_not_heard_of_again_ends_by_itself(all_: Replication, redis: Redis) -> None:
    await all_.tell(WELL, WELL)
    assert await all_.may("b"), "and dies"
    assert not await all_.may("a")
    await redis.zincrby(keys.standby(), -1000 * LEASE, "b")
    assert await all_.may("a")
    assert await all_.holders() == [b"a"]


@pytest.mark.parametrize(
    "text", ["{", "[]", "1", '{"at":"x","succeeded":[]}', '{"succeeded":{"webrtc":"x"}}']
)
async def test_a_report_that_cannot_be_read_stops_nobody(all_: Replication, redis: Redis, text: str) -> None:
    await all_.tell(CUT_OFF, WELL, WELL)
    await redis.set(keys.replica("c"), text)
    assert await all_.may("a")
    await redis.set(keys.replica("b"), text)
    assert not await all_.may("a")


async def test_one_of_an_older_release_vouches_too(all_: Replication, redis: Redis) -> None:
    """It says nothing of what it cannot reach."""
    await all_.tell(CUT_OFF, WELL)
    told: dict[str, Any] = {"id": "b", "at": NOW, "succeeded": {"webrtc": NOW - 1}}
    assert b"unreached" not in (await redis.get(keys.replica("b")) or b"")
    await redis.set(keys.replica("b"), str(told).replace("'", '"'))
    assert await all_.may("a")
