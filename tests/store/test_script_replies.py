"""Scripts that only tests of the engine run otherwise: here their replies are compared with their headers."""

from service.calls.effects import CheckSession, DeleteSession
from service.calls.pin_guessing import WrongPinCounts
from service.store.gauges import read_gauges
from service.store.outbox import GivenUp, Outbox
from service.store.outbox_index import OutboxIndex
from service.store.pause import PauseState, PauseSwitch
from service.store.redis.client import Client
from service.store.rooms import Rooms
from service.store.wrong_pins import WrongPins
from tests.store.seats import NOW, ROOM, owed, seated

OWNER = f"room:{ROOM}"


async def test_a_dead_letter_is_replayed_or_dropped_once(
    client: Client, rooms: Rooms, outbox: Outbox
) -> None:
    index = OutboxIndex(client)
    await rooms.schedule(ROOM, DeleteSession("S"), now=NOW)
    for _ in range(2):
        [work] = await outbox.settle(OWNER, now=NOW)
        assert await outbox.settle(OWNER, now=NOW, given_up=[GivenUp(work, "refused")]) == []
        [letter] = await index.list_dead_letters()
        assert (letter.owner, letter.effect, letter.error) == (OWNER, DeleteSession("S"), "refused")
        assert await index.replay_dead_letter(letter, now=NOW)
        assert not await index.replay_dead_letter(letter, now=NOW)

    [work] = await outbox.settle(OWNER, now=NOW)
    await outbox.settle(OWNER, now=NOW, given_up=[GivenUp(work, "refused")])
    [letter] = await index.list_dead_letters()
    assert await index.drop_dead_letter(letter)
    assert not await index.drop_dead_letter(letter)
    assert await index.list_dead_letters() == []


async def test_owed_work_is_retried_or_dropped_while_it_is_owed(
    client: Client, rooms: Rooms, outbox: Outbox
) -> None:
    index = OutboxIndex(client)
    await rooms.schedule(ROOM, DeleteSession("S"), now=NOW, due=NOW + 60)
    [effect] = await index.list_owed(limit=9)
    assert (effect.due, effect.tries) == (NOW + 60, 0)
    assert await index.retry_owed(effect, now=NOW)
    [work] = await outbox.settle(OWNER, now=NOW)
    assert work.effect == DeleteSession("S")
    assert await index.drop_owed(effect, now=NOW)
    assert not await index.drop_owed(effect, now=NOW)
    assert not await index.retry_owed(effect, now=NOW)


async def test_a_doubt_is_only_about_the_session_of_the_room(rooms: Rooms, outbox: Outbox) -> None:
    await seated(rooms, "a.1", session="S")
    assert not await rooms.doubt_session(ROOM, CheckSession(ROOM, "T"), now=NOW, due=NOW)
    assert await rooms.doubt_session(ROOM, CheckSession(ROOM, "S"), now=NOW, due=NOW)
    await rooms.confirm_session(ROOM, "S", now=NOW)
    assert CheckSession(ROOM, "S") in await owed(outbox)


async def test_wrong_pins_of_a_caller_and_on_a_number(client: Client) -> None:
    pins = WrongPins(client, b"secret")
    assert await pins.read(caller="+1", number="+2") == WrongPinCounts()
    assert await pins.count("a", caller="+1", number="+2") == WrongPinCounts(by_caller=1, on_number=1)
    assert await pins.count("a", caller="+1", number="+2") == WrongPinCounts(by_caller=1, on_number=1)
    assert await pins.count("b", caller="", number="+2") == WrongPinCounts(on_number=2)
    assert await pins.read(caller="+1", number="+2") == WrongPinCounts(by_caller=1, on_number=2)


async def test_the_pause_stays_until_it_is_taken_back(client: Client) -> None:
    pause = PauseSwitch(client)
    assert await pause.read() is None
    await pause.set(PauseState(NOW, "later"))
    assert await pause.read() == PauseState(NOW, "later")
    await pause.set(None)
    assert await pause.read() is None


async def test_gauges_of_a_room_and_of_what_it_owes(client: Client, rooms: Rooms) -> None:
    await seated(rooms, "a.1", session="S")
    await rooms.schedule(ROOM, DeleteSession("T"), now=NOW)
    gauges = await read_gauges(client, now=NOW + 3)
    assert (gauges.rooms, gauges.room_members, gauges.dead_letters) == (1, (1,), 0)
    assert gauges.owners_by_due == {"now": 1, "soon": 0, "later": 0}
    assert gauges.oldest_owed_seconds == 3
