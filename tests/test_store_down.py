"""The store is down: callers are kept on the line for a while, and told when it does not come back."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from service.engine.timeouts import Timeouts
from tests.harness import nothing_left, serving
from tests.operators import Operator
from tests.simulator.simulator import Simulator
from tests.stores import RestartableStore
from tests.waiting import wait_until


@pytest.fixture
async def store() -> AsyncIterator[RestartableStore]:
    with tempfile.TemporaryDirectory(prefix="bridge-down-") as directory:
        store = RestartableStore(Path(directory))
        await store.start()
        yield store
        await store.start()
        await store.stop()


async def test_a_caller_waits_for_the_store(simulator: Simulator, store: RestartableStore) -> None:
    async with serving(simulator, store.url) as service:
        await store.kill()
        phone = await simulator.dial()
        await phone.hears("One moment")
        assert simulator.deliveries[0].status == 200
        assert simulator.deliveries[0].ms < 8000
        async with httpx.AsyncClient(base_url=service.url) as client:
            ready = await client.get("/readyz")
            assert ready.status_code == 503
            assert "store" in ready.json()["checks"]
            assert (await client.get("/livez")).status_code == 200

        await store.start()

        await phone.until("bridged", timeout=15)
        await phone.hang_up()
        async with Redis.from_url(store.url) as redis:
            await nothing_left(simulator, redis)


async def test_an_outage_leaves_its_trace(simulator: Simulator, store: RestartableStore) -> None:
    """When the caller came, and how often they were told to wait, is known once the store is back."""
    async with serving(simulator, store.url) as service:
        await store.kill()
        phone = await simulator.dial()
        await simulator.until(lambda: len([one for one in phone.heard if "One moment" in one]) >= 2)
        await store.start()
        await phone.until("bridged", timeout=15)
        await phone.hang_up()
        await wait_until(lambda: service.log(event="call.ended"))
        [ended] = service.log(event="call.ended")
        assert ended["rounds"] >= 2
        assert ended["duration_s"] >= ended["silence_ms"] / 1000 > 0
        async with Operator.of(service) as operator:
            call = await operator.call(phone.call_id)
            began = datetime.fromisoformat(call["createdAt"])
            first = datetime.fromisoformat(str(service.log(event="webhook.degraded")[0]["timestamp"]))
            assert abs(first - began) < timedelta(seconds=4), "the store was waited for meanwhile"
            later = service.log(event="webhook.answered", event_type="redirect")[-1]["timestamp"]
            assert datetime.fromisoformat(str(later)) > began
            assert max(one.get("rounds", 0) for one in call["timeline"]) >= 2
        async with Redis.from_url(store.url) as redis:
            await nothing_left(simulator, redis)


async def test_a_store_that_hangs_is_not_waited_for(simulator: Simulator, store: RestartableStore) -> None:
    async with (
        serving(simulator, store.url, WEBHOOK_BUDGET="1") as service,
        Redis.from_url(store.url) as redis,
    ):
        await redis.client_pause(2500)
        phone = await simulator.dial()
        await phone.hears("One moment")
        assert simulator.deliveries[0].status == 200
        assert simulator.deliveries[0].ms < 2000
        assert service.log(event="webhook.degraded")
        await phone.until("bridged", timeout=20)
        await phone.hang_up()
        await nothing_left(simulator, redis)
        assert not service.log(level="error")


async def test_a_store_that_goes_in_the_middle_of_a_join(
    simulator: Simulator, store: RestartableStore
) -> None:
    """What the join has made by then is not forgotten, and the caller gets in with the next attempt."""
    async with serving(simulator, store.url, WEBHOOK_BUDGET="3"):
        gate = simulator.gates.hold("createParticipant")
        phone = await simulator.dial()
        await gate.reached()
        await store.kill()
        gate.release()
        await phone.hears("One moment")
        await store.start()
        await phone.until("bridged", timeout=20)
        await phone.hang_up()
        async with Redis.from_url(store.url) as redis:
            await nothing_left(simulator, redis)


async def test_a_caller_does_not_wait_for_ever(simulator: Simulator, store: RestartableStore) -> None:
    async with serving(simulator, store.url):
        await store.kill()
        phone = await simulator.dial()
        await phone.until("ended", timeout=30)
        assert phone.heard[:3] == ["One moment, please."] * 3
        assert "sorry" in phone.heard[3]
        assert len(phone.heard) == 4
        assert simulator.ledger.empty


async def test_who_was_let_go_was_let_go_by_us(simulator: Simulator, store: RestartableStore) -> None:
    """The caller heard our apology and was hung up: nobody is to look for the fault at their end."""
    async with serving(simulator, store.url) as service, Operator.of(service) as operator:
        await store.kill()
        phone = await simulator.dial()
        await phone.until("ended", timeout=30)
        assert "sorry" in phone.heard[-1]
        await wait_until(lambda: service.log(event="webhook.answered", event_type="disconnect"))
        await store.start()

        call: dict[str, Any] = {}

        async def known() -> bool:
            answer = await operator.send("GET", f"/calls/{phone.call_id}")
            call.update(answer.json())
            told = call.get("timeline", ())
            return {"disconnect"} <= {one["event"] for one in told} and any("rounds" in one for one in told)

        await wait_until(known, what="not all of it is known")
        assert (call["outcome"]["blame"], call["outcome"]["reason"]) == ("service", "internal-error")
        began, ended = (datetime.fromisoformat(call[name]) for name in ("createdAt", "endedAt"))
        first = datetime.fromisoformat(str(service.log(event="webhook.degraded")[0]["timestamp"]))
        assert abs(first - began) < timedelta(seconds=2)
        assert ended > began
        [log] = service.log(event="call.ended")
        assert (log["blame"], log["reason"], log["rounds"]) == ("service", "internal-error", 3)
        [let_go] = [one for one in call["timeline"] if one.get("rounds")]
        assert (let_go["event"], let_go["reply"], let_go["rounds"]) == ("turnedAway", "hangup", 3)
        async with Redis.from_url(store.url) as redis:
            await nothing_left(simulator, redis)


async def test_who_hung_up_before_our_apology_has_given_up(
    simulator: Simulator, store: RestartableStore
) -> None:
    async with serving(simulator, store.url) as service, Operator.of(service) as operator:
        await store.kill()
        phone = await simulator.dial()
        await simulator.until(lambda: len(phone.heard) >= 2)
        await phone.hang_up()
        await wait_until(lambda: service.log(event="webhook.answered", event_type="disconnect"))
        await store.start()

        async def known() -> bool:
            answer = await operator.send("GET", f"/calls/{phone.call_id}")
            told = answer.json().get("timeline", ()) if answer.is_success else ()
            return {"disconnect", "turnedAway"} <= {one["event"] for one in told}

        await wait_until(known, what="not all of it is known")
        call = await operator.call(phone.call_id)
        assert (call["outcome"]["blame"], call["outcome"]["reason"]) == ("caller", "abandoned")
        assert call["endedAt"] > call["createdAt"]
        async with Redis.from_url(store.url) as redis:
            await nothing_left(simulator, redis)


async def test_a_way_in_that_is_open_stays_open(simulator: Simulator, store: RestartableStore) -> None:
    async with serving(simulator, store.url):
        gate = simulator.gates.hold("webhook:transferAnswer")
        phone = await simulator.dial()
        await gate.reached()
        await store.kill()
        gate.release()
        await phone.until("bridged")
        await store.start()
        await asyncio.wait_for(_hung_up(simulator, phone), 20)


async def test_a_talk_that_the_store_missed_counts_though_an_order_ends_it_first(
    simulator: Simulator, store: RestartableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.engine.backlog.FIRST_PAUSE", 3.0)
    monkeypatch.setattr("service.engine.backlog.LONGEST_PAUSE", 3.0)
    async with serving(simulator, store.url) as service, Operator.of(service) as operator:
        gate = simulator.gates.hold("webhook:transferAnswer")
        phone = await simulator.dial()
        await gate.reached()
        await store.kill()
        gate.release()
        await wait_until(lambda: service.log(event="webhook.degraded", event_type="transferAnswer"))
        await store.start()
        await _met_again(operator)
        await operator.order(phone.call_id, "transfer", to="+15550102222")
        await wait_until(lambda: service.log(event="webhook.answered", reply="elsewhere"))
        await wait_until(lambda: service.log(event="event.ignored", event_type="transferAnswer"), seconds=10)
        await phone.hang_up()
        await wait_until(lambda: service.log(event="call.ended"), what="its end is not known")
        assert service.log(event="call.ended", reason="completed")


async def test_an_end_waits_for_what_is_to_be_told_before_it(
    simulator: Simulator, store: RestartableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is back, and that the caller was let go without it is not written down yet."""
    for name in ("FIRST_PAUSE", "LONGEST_PAUSE"):
        monkeypatch.setattr(f"service.engine.backlog.{name}", 3.0)
    soon = Timeouts(transfer_check=0.3, idle_check_max=0.6)
    async with serving(simulator, store.url, soon) as service, Operator.of(service) as operator:
        await store.kill()
        phone = await simulator.dial()
        await phone.hears("We are sorry")
        await store.start()
        await _met_again(operator)
        await wait_until(lambda: service.log(event="call.ended"), seconds=15, what="its end is not known")
        [line] = service.log(event="call.ended")
        assert (line["blame"], line["reason"]) == ("service", "internal-error")


async def test_a_disconnect_that_the_store_missed_is_taken_in_later(
    simulator: Simulator, store: RestartableStore
) -> None:
    async with serving(simulator, store.url) as service:
        phone = await simulator.dial()
        await phone.until("bridged")
        await store.kill()
        await phone.hang_up()
        await wait_until(lambda: len(service.log(event="webhook.answered", reply="deferred")) == 2)
        await store.start()
        async with Redis.from_url(store.url) as redis:
            await nothing_left(simulator, redis)
        assert service.log(event="call.ended", reason="completed")


async def _hung_up(simulator: Simulator, phone: object) -> None:
    """The first webhooks after the restart may meet connections that are dead."""
    await simulator.phones[0].hang_up()
    assert phone is simulator.phones[0]
    await simulator.settled(timeout=15)


async def test_who_was_turned_away_and_never_came_back_is_known(
    simulator: Simulator, store: RestartableStore
) -> None:
    soon = Timeouts(transfer_check=0.3, idle_check_max=0.6)
    async with serving(simulator, store.url, soon) as service, Operator.of(service) as operator:
        simulator.webhooks.drop = {"disconnect"}
        await store.kill()
        phone = await simulator.dial()
        await phone.hears("One moment")
        await phone.hang_up()
        await store.start()

        async def known() -> bool:
            answer = await operator.send("GET", f"/calls/{phone.call_id}")
            return answer.is_success and answer.json()["state"] == "ended"

        await wait_until(known, what="nobody knows of it")
        call = await operator.call(phone.call_id)
        assert (call["outcome"]["reason"], call["outcome"]["cause"]) == ("abandoned", phone.cause)
        told = [one["event"] for one in call["timeline"] if "effect" not in one]
        assert told == ["turnedAway", "foundEnded"]
        async with Redis.from_url(store.url) as redis:
            await nothing_left(simulator, redis)


async def _met_again(operator: Operator) -> None:
    """What reads the store is answered again."""

    async def answered() -> bool:
        return (await operator.send("GET", "/rooms")).is_success

    await wait_until(answered, what="the store is not met again")
