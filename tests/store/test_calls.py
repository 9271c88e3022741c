"""A call in the store: all of a commit or nothing of it, and the same after it ran twice."""

import msgspec
import pytest
from redis.asyncio import Redis

from service.calls.effects import HangUpPhone, LeaveRoom, Scheduled
from service.calls.model import SCHEMA, Call, Direction, Media, Phone
from service.calls.refs import partition_of_ref, ref_of_call
from service.calls.replies import HangUp, PendingJoin, TransferToWebRtc
from service.store import keys
from service.store.call_index import LIVE_TTL_MS
from service.store.calls import CallCommit, Calls
from service.store.errors import NewerSchema, StoreCorrupt, StoreUnavailable
from service.store.gauges import STATES, STEP
from service.store.redis.client import Client

REF = ref_of_call("c-1")
CALL = Call(
    ref=REF,
    call_id="c-1",
    direction=Direction.INBOUND,
    room="lobby",
    created_at=1.0,
    phone=Phone.RINGING,
    attempt=1,
)
NOW = 1_700_000_000.0


@pytest.fixture
def calls(client: Client) -> Calls:
    return Calls(client, ended_days=7)


def change(call: Call = CALL, **fields: object) -> CallCommit:
    whole = {
        "call": call,
        "event_key": "initiate@1",
        "reply": PendingJoin(1),
        "timeline_entry": {"event": "initiate"},
        **fields,
    }
    return CallCommit(**whole)  # type: ignore[arg-type] # the fields are a test's own


async def commit(calls: Calls, revision: int, what: CallCommit, name: str = "a") -> bool:
    return await calls.commit(revision, what, now=NOW, commit_id=name)


async def test_an_unknown_call(calls: Calls) -> None:
    stored = await calls.load(REF, "initiate@1")
    assert (stored.revision, stored.call, stored.reply, stored.token) == (0, None, None, "")


async def test_what_is_committed_is_loaded(calls: Calls) -> None:
    assert await commit(calls, 0, change(reply=TransferToWebRtc(1, "hello"), token="secret"))
    stored = await calls.load(REF, "initiate@1")
    assert (stored.revision, stored.call, stored.token) == (1, CALL, "secret")
    assert stored.reply == TransferToWebRtc(1, "hello")
    assert (await calls.load(REF, "initiate@2")).reply is None
    assert "secret" not in repr(stored)


async def test_it_is_counted_until_it_is_forgotten_by_the_time_that_replicas_go_by(
    calls: Calls, redis: Redis
) -> None:
    """Not by the clock of the server, which may be another: here one of years ago."""
    await commit(calls, 0, change())
    standing = keys.live_calls(partition_of_ref(REF))
    assert await redis.zscore(standing, REF) == standing_at(NOW)
    await calls.extend_ttl(REF, now=NOW + 3600)
    assert await redis.zscore(standing, REF) == standing_at(NOW + 3600)
    await redis.delete(keys.call(REF))
    await calls.extend_ttl(REF, now=NOW + 7200)
    assert await redis.zscore(standing, REF) == standing_at(NOW + 3600), "what is gone is not kept"


def standing_at(heard: float) -> float:
    return STATES.index(CALL.status) * STEP + heard * 1000 + LIVE_TTL_MS


async def test_a_commit_on_an_old_revision_writes_nothing(calls: Calls, redis: Redis) -> None:
    await commit(calls, 0, change())
    before = {key: await redis.dump(key) for key in await redis.keys()}
    late = change(
        msgspec.structs.replace(CALL, media=Media.JOINING),
        event_key="other@1",
        effects=(Scheduled(HangUpPhone("c-1"), NOW),),
        token="late",
    )
    assert not await commit(calls, 0, late, "b")
    assert {key: await redis.dump(key) for key in await redis.keys()} == before


async def test_the_same_commit_twice_writes_once(calls: Calls, redis: Redis) -> None:
    """The client sends a script again when its reply was lost."""
    once = change(effects=(Scheduled(HangUpPhone("c-1"), NOW),))
    assert await commit(calls, 0, once)
    before = {key: await redis.dump(key) for key in await redis.keys()}
    assert await commit(calls, 0, once)
    assert {key: await redis.dump(key) for key in await redis.keys()} == before


async def test_owed_work_is_on_the_agenda_until_it_is_called_off(calls: Calls, redis: Redis) -> None:
    agenda, owner = keys.agenda(partition_of_ref(REF)), keys.owner_call(REF)
    owed = (Scheduled(HangUpPhone("c-1"), NOW + 30), Scheduled(LeaveRoom("lobby", f"{REF}.1"), NOW + 5))
    await commit(calls, 0, change(effects=owed))
    assert await redis.zscore(agenda, owner) == (NOW + 5) * 1000
    await commit(calls, 1, change(cancels=(f"leave-room:lobby:{REF}.1",)), "b")
    assert await redis.exists(keys.owed(owner))
    await commit(calls, 2, change(cancels=("hang-up",)), "c")
    assert await redis.zscore(agenda, owner) is None
    assert not await redis.exists(keys.owed(owner))


async def test_an_event_without_an_answer_leaves_none(calls: Calls) -> None:
    await commit(calls, 0, change(event_key=""))
    assert (await calls.load(REF)).reply is None


async def test_a_token_is_kept_apart_and_dropped(calls: Calls, redis: Redis) -> None:
    await commit(calls, 0, change(token="secret"))
    assert "secret" not in str(await redis.hgetall(keys.call(REF)))
    await commit(calls, 1, change(), "b")
    assert (await calls.load(REF)).token == "secret"
    await commit(calls, 2, change(token=None), "c")
    assert (await calls.load(REF)).token == ""


@pytest.mark.parametrize(
    ("phone", "attempt", "days", "events_minutes"),
    [(Phone.UP, 1, 1, 24 * 60), (Phone.GONE, 1, 7, 15), (Phone.GONE, 0, 1 / 96, 15)],
    ids=["live", "ended", "tombstone"],
)
async def test_how_long_keys_live(
    calls: Calls, redis: Redis, phone: Phone, attempt: int, days: float, events_minutes: float
) -> None:
    await commit(calls, 0, change(msgspec.structs.replace(CALL, phone=phone, attempt=attempt)))
    assert await redis.ttl(keys.call(REF)) == pytest.approx(days * 86_400, abs=2)
    assert await redis.ttl(keys.CallKeys.of(REF).timeline) == pytest.approx(days * 86_400, abs=2)
    assert await redis.ttl(keys.CallKeys.of(REF).events) == pytest.approx(events_minutes * 60, abs=2)


async def test_the_timeline_is_bounded(calls: Calls, redis: Redis) -> None:
    for revision in range(205):
        await commit(calls, revision, change(timeline_entry={"n": revision}), str(revision))
    entries = [
        msgspec.json.decode(entry)["n"] for entry in await redis.lrange(keys.CallKeys.of(REF).timeline, 0, -1)
    ]
    assert entries == list(range(5, 205))


async def test_a_call_of_a_newer_release_is_not_touched(calls: Calls, redis: Redis) -> None:
    await commit(calls, 0, change(msgspec.structs.replace(CALL, schema=SCHEMA + 1)))
    with pytest.raises(NewerSchema):
        await calls.load(REF)


async def test_what_cannot_be_read_is_said(calls: Calls, redis: Redis) -> None:
    await redis.hset(keys.call(REF), mapping={"revision": 1, "state": "{"})
    with pytest.raises(StoreCorrupt):
        await calls.load(REF)


async def test_a_store_that_is_not_there() -> None:
    client = Client("unix:///nonexistent/socket")
    with pytest.raises(StoreUnavailable, match="call_load"):
        await Calls(client, ended_days=1).load(REF)
    await client.close()


def test_replies_are_told_apart_when_stored() -> None:
    assert msgspec.json.decode(msgspec.json.encode(HangUp())) == {"type": "hangup"}
