"""What has ended is kept in few bytes, and read whichever way it was written."""

import hashlib
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from service.calls.model import Call, Outcome, Phone
from service.store import keys
from service.store.calls import Calls
from service.store.compression import DICTIONARIES, compress_text, decompress_text
from service.store.errors import StoreCorrupt
from service.store.redis.client import Client
from tests.harness import serving
from tests.operators import Operator, bridged, operator_for
from tests.simulator.simulator import Simulator
from tests.store.test_calls import CALL, NOW, REF, change

TEXT = (
    b'{"ref":"p06-vpmcuavfvew5nh2efpu7","call_id":"c-1","phone":"gone",'
    b'"outcome":{"blame":"caller","reason":"completed"}}'
)
KEPT = b'\x01CD\x8f\x99nYAnribYZYj\xb9i^\x86QjZA\xa99Z\xa4\x19*a\x04?\x167\x80\x0b\xf2"\xecn\xa8\xad\x05\x00'
ENDED = msgspec.structs.replace(
    CALL,
    phone=Phone.GONE,
    ended_at=9.0,
    from_number="+19195550142",
    session_id="7db3e2ab-ae3b-4855-8d81-b9f392fc330a",
    outcome=Outcome("caller", "completed"),  # type: ignore[arg-type] # as it is stored
)


@pytest.fixture
def compressing(client: Client) -> Calls:
    return Calls(client, ended_days=7, compress=True)


@pytest.fixture
def calls(client: Client) -> Calls:
    return Calls(client, ended_days=7)


async def state(redis: Redis, ref: str = REF) -> bytes:
    found: Any = await redis.hget(keys.call(ref), "state")
    return bytes(found)


async def entries(redis: Redis, ref: str = REF) -> list[bytes]:
    found: Any = await redis.lrange(keys.CallKeys.of(ref).timeline, 0, -1)
    return list(found)


def as_stored(call: Call) -> Call:
    return msgspec.json.decode(msgspec.json.encode(call), type=Call)


# The form ---------------------------------------------------------------------------------------------------


def test_what_was_compressed_comes_back() -> None:
    assert decompress_text(compress_text(TEXT)) == TEXT
    assert len(compress_text(TEXT)) < len(TEXT) / 2
    assert decompress_text(TEXT) == TEXT


def test_what_a_release_has_written_is_read_by_those_after_it() -> None:
    """With a dictionary that is changed it is not: another one has to have another number."""
    assert decompress_text(KEPT) == TEXT
    released = "1990ad1afbfada551b7e2904dee73a0dddd0cfed364a267bab718365bc6bcecf"
    assert hashlib.sha256(DICTIONARIES[b"\x01"]).hexdigest() == released


def test_texts_of_any_kind() -> None:
    for text in (b'{"tag":"\xc3\xa9\xe2\x82\xac"}', b'{"message":"' + bytes(range(35, 91)) * 200 + b'"}'):
        assert decompress_text(compress_text(text)) == text


@pytest.mark.parametrize(
    "kept",
    [b"", b"\x02" + KEPT[1:], KEPT[:-4], b"\x01\xff\xff\xff", compress_text(b" " * 1_000_001)],
    ids=["nothing", "another dictionary", "cut", "damaged", "endless"],
)
def test_what_is_damaged_is_told_apart(kept: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decompress_text(kept)


# In the store -----------------------------------------------------------------------------------------------


async def test_only_what_has_ended_is_compressed(compressing: Calls, redis: Redis) -> None:
    assert await compressing.commit(0, change(), now=NOW, commit_id="a")
    assert (await state(redis)).startswith(b'{"ref"'), "a live call is read by each of its webhooks"
    assert await compressing.commit(1, change(ENDED, event_key="disconnect@1"), now=NOW, commit_id="b")
    assert len(await state(redis)) < len(msgspec.json.encode(ENDED)) / 2
    assert [decompress_text(one) for one in await entries(redis)] == [b'{"event":"initiate"}'] * 2
    assert not any(one.startswith(b"{") for one in await entries(redis))


async def test_without_the_setting_all_of_it_is_json(calls: Calls, redis: Redis) -> None:
    """As release 0.1.0 reads it."""
    assert await calls.commit(0, change(ENDED), now=NOW, commit_id="a")
    assert msgspec.json.decode(await state(redis), type=Call) == as_stored(ENDED)
    assert [msgspec.json.decode(one) for one in await entries(redis)] == [{"event": "initiate"}]


async def test_a_late_event_loads_it_and_writes_it_again(compressing: Calls) -> None:
    assert await compressing.commit(0, change(ENDED), now=NOW, commit_id="a")
    stored = await compressing.load(REF)
    assert (stored.revision, stored.call) == (1, as_stored(ENDED))
    late = msgspec.structs.replace(ENDED, retries=3)
    assert await compressing.commit(1, change(late, event_key="late@1"), now=NOW, commit_id="b")
    assert (await compressing.load(REF)).call == as_stored(late)


async def test_each_reads_what_the_other_has_written(compressing: Calls, calls: Calls) -> None:
    """Replicas are given the setting one after the other, and it may be taken back."""
    for revision, (writes, reads) in enumerate([(compressing, calls), (calls, compressing)]):
        assert await writes.commit(revision, change(ENDED), now=NOW, commit_id=f"{revision}")
        viewed = await reads.view(REF)
        assert viewed is not None
        assert viewed == (as_stored(ENDED), [{"event": "initiate"}] * (revision + 1))
        assert (await reads.load(REF)).call == as_stored(ENDED)
        assert await reads.read_many([REF]) == [as_stored(ENDED)]


async def test_what_cannot_be_read_is_said(compressing: Calls, redis: Redis) -> None:
    assert await compressing.commit(0, change(ENDED), now=NOW, commit_id="a")
    await redis.hset(keys.call(REF), "state", (await state(redis))[:-9])
    with pytest.raises(StoreCorrupt, match=REF):
        await compressing.load(REF)
    with pytest.raises(StoreCorrupt, match=REF):
        await compressing.view(REF)
    assert await compressing.read_many([REF]) == []


# In a service -----------------------------------------------------------------------------------------------


async def test_a_call_is_shown_and_forgotten_alike(
    simulator: Simulator, store_url: str, redis: Redis
) -> None:
    """Also by a replica that has not been given the setting, which late webhooks may reach."""
    async with operator_for(simulator, store_url, redis, STORE_FORMAT="2") as (_, operator):
        phone, call = await bridged(simulator, operator)
        ref = call["id"]
        await phone.hang_up()
        await operator.until(ref, "ended")
        await simulator.settled()
        seen = await operator.call(ref)
        assert [one["event"] for one in seen["timeline"]][-2:] == ["disconnect", "effectDone"]
        assert seen["outcome"]["reason"] == "completed"
        assert ref in {one["id"] for one in (await operator.ask("GET", "/calls"))["calls"]}
        assert not (await state(redis, ref)).startswith(b"{")
        assert not [one for one in await entries(redis, ref) if one.startswith(b"{")]
        async with serving(simulator, store_url) as other, Operator.of(other) as beside:
            assert await beside.call(ref) == seen
            [last] = [one for one in simulator.deliveries if one.event_type == "disconnect"][-1:]
            status, _ = await simulator.repeat(last)
            assert status < 300
            assert (await beside.call(ref))["state"] == "ended"
            assert (await beside.send("DELETE", f"/calls/{ref}")).status_code == 204
        assert (await operator.send("GET", f"/calls/{ref}")).status_code == 404
