"""Nine faults, each from the alert that fires to the line that names its cause."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from service.engine.timeouts import DEFAULT_TIMEOUTS, Timeouts
from tests.cli.shell import CommandResult, Shell
from tests.harness import RunningService, serving
from tests.oncall.runbook import run_commands, told
from tests.oncall.scrape_recorder import Alert, ScrapeRecorder
from tests.operators import Operator
from tests.promtool import needs_promtool
from tests.scraping import scraped, wait_for_metric
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.stores import RestartableStore
from tests.test_reconciler import LOST, SOON

BEFORE, DURING = 20, 20
"""Minutes that are told of each."""
LIFETIME = 2
"""Seconds, of a token."""


class OnCallScenario:
    """A replica, what Prometheus has seen of it, and somebody who is woken."""

    def __init__(self, simulator: Simulator, store_url: str, folder: Path, stack: AsyncExitStack) -> None:
        self.simulator = simulator
        self.store_url = store_url
        self.film = ScrapeRecorder()
        self.phones: list[Phone] = []
        """Those of this minute."""
        self._folder = folder
        self._stack = stack

    async def begins(self, patience: Timeouts = DEFAULT_TIMEOUTS, /, **settings: str) -> RunningService:
        """With a quarter of an hour in which all is well."""
        await self.starts(patience, **settings)
        await self.call()
        await self.minute(self.calls, BEFORE)
        assert self.film.firing_alerts(BEFORE - 1, self._folder) == set()
        return self.service

    async def starts(self, patience: Timeouts = DEFAULT_TIMEOUTS, /, **settings: str) -> None:
        self.service = await self._stack.enter_async_context(
            serving(self.simulator, self.store_url, patience, **settings)
        )
        self.shell = Shell.at(self.simulator, self.service, self.store_url, **settings)

    async def call(self) -> Phone:
        """One that is over when it was bridged, or when it could not be."""
        phone = await self.simulator.dial()
        await self.simulator.until(lambda: phone.stage in {"bridged", "ended"}, timeout=20)
        await phone.hang_up()
        self.phones.append(phone)
        return phone

    async def calls(self) -> None:
        for _ in range(4):
            await self.call()
        await self.simulator.settled()

    async def stuck(self) -> None:
        await self.call()
        await wait_for_metric(self.service.url, "pstn_owed_oldest_seconds", 0.5)

    async def minute(self, happens: Callable[[], Awaitable[object]], minutes: int = DURING) -> None:
        first = await scraped(self.service.url)
        self.phones = []
        await happens()
        self.film.extend(first, await scraped(self.service.url), minutes)

    async def follows(self, alert: str, phone: int = -1) -> dict[str, CommandResult]:
        """Who was woken does what the runbook says, and asks about the call of this phone."""
        return await run_commands(alert, self.shell, self.service, call_id=self.phones[phone].call_id)

    def alerts(self) -> set[Alert]:
        return self.film.firing_alerts(BEFORE + DURING - 1, self._folder)


@pytest.fixture
async def night(
    simulator: Simulator, store_url: str, redis: Redis, tmp_path: Path
) -> AsyncIterator[OnCallScenario]:
    needs_promtool()
    async with AsyncExitStack() as stack:
        yield OnCallScenario(simulator, store_url, tmp_path, stack)


async def test_the_secret_is_wrong(night: OnCallScenario) -> None:
    """Somebody has changed it, and the replica is started with what has been mistyped."""
    await night.begins()
    await night.starts(BW_CLIENT_SECRET="mistyped-secret")
    await night.minute(night.calls)
    assert night.alerts() == {Alert("PstnBandwidthRefusesCredentials", "token")}
    said = await night.follows("PstnBandwidthRefusesCredentials")
    told(said, "doctor", r"fail +token +.*(401|400).*", "BW_CLIENT_SECRET")
    told(said, "calls", "service/credentials-refused")
    told(said, "logs", "token.refresh_failed", "401")


@pytest.mark.parametrize("how", ["expired", "revoked"])
async def test_the_token_is_no_good_and_there_is_no_other(night: OnCallScenario, how: str) -> None:
    """It has expired, or Bandwidth has forgotten it early, and the token endpoint fails."""
    if how == "expired":
        night.simulator.tokens.lifetime = LIFETIME
    await night.begins()
    night.simulator.faults.add("token", status=503, times=None)
    if how == "revoked":
        night.simulator.revoke_tokens()
    else:
        await asyncio.sleep(LIFETIME)
    await night.minute(night.calls)
    assert night.alerts() == {Alert("PstnTokenUnavailable")}
    said = await night.follows("PstnTokenUnavailable")
    told(said, "doctor", "fail +token +.*503")
    told(said, "calls", "bandwidth/bandwidth-error")
    told(said, "owed", "leave-room|nothing is owed")


async def test_the_store_is_down(night: OnCallScenario, tmp_path: Path) -> None:
    store = RestartableStore(tmp_path / "s")
    await store.start()
    night.store_url = store.url
    await night.begins()
    await store.kill()
    await night.minute(night.call)
    assert night.alerts() == {Alert("PstnStoreUnavailable", sign) for sign in ("scrape", "errors")}
    said = await night.follows("PstnStoreUnavailable")
    told(said, "doctor", "fail +store ")
    assert said["calls"].code == 4
    told(said, "calls", "valkey.sock")
    told(said, "logs", "webhook.degraded")


async def test_the_store_is_emptied(night: OnCallScenario, redis: Redis) -> None:
    await night.begins(replace(DEFAULT_TIMEOUTS, store_check=0.1))

    async def emptied() -> None:
        await redis.flushall()
        await wait_for_metric(night.service.url, "pstn_store_losses_total")
        await night.calls()

    await night.minute(emptied)
    assert night.alerts() == {Alert("PstnStoreLost", "lost")}
    said = await night.follows("PstnStoreLost")
    told(said, "doctor", "ok +store memory")
    told(said, "calls", "completed")
    told(said, "logs", "store.state_lost")


async def test_bandwidth_answers_with_500(night: OnCallScenario) -> None:
    await night.begins()
    night.simulator.faults.add("createSession", status=500, times=None)
    night.simulator.faults.add("createParticipant", status=500, times=None)
    await night.minute(night.calls)
    assert night.alerts() == {Alert("PstnBandwidthFailing", sign) for sign in ("breaker", "requests")}
    said = await night.follows("PstnBandwidthFailing", 0)
    told(said, "calls", "bandwidth/bandwidth-error")
    told(said, "call", r"create-\w+ 500 \d+ms", r"Because +create-\w+: 500 ")
    latest = await night.follows("PstnBandwidthFailing")
    told(latest, "call", r"Because +create-\w+: not sent, .*breaker")


async def test_bandwidth_is_slow(night: OnCallScenario) -> None:
    await night.begins()
    night.simulator.faults.add("createParticipant", delay=2.6, times=None)
    await night.minute(night.calls)
    assert Alert("PstnBandwidthSlow") in night.alerts() <= {Alert("PstnBandwidthSlow"), Alert("PstnDeadAir")}
    said = await night.follows("PstnBandwidthSlow")
    told(said, "call", r"create-participant.*2[ ,.]?6\d\d")


async def test_webhooks_do_not_arrive(night: OnCallScenario) -> None:
    await night.begins(SOON)
    night.simulator.webhooks.drop = LOST
    await night.minute(night.calls)
    assert night.alerts() == {Alert("PstnWebhooksMissing", "found")}
    said = await night.follows("PstnWebhooksMissing")
    told(said, "logs", "call.found_ended")


async def test_a_room_is_full(night: OnCallScenario) -> None:
    service = await night.begins(ROOM_POLICY="lobby")
    async with Operator.of(service) as operator:
        await operator.set_room("lobby", limit=1)
        member = await night.simulator.dial()
        await member.until("bridged")
        await night.minute(night.call)
        assert night.alerts() == {Alert("PstnRoomsFull")}
        said = await night.follows("PstnRoomsFull")
        told(said, "rooms", r"lobby +1/1 ")
        told(said, "calls", "room-full")
        await member.hang_up()
        await night.simulator.settled()
        await operator.reset_rooms()


async def test_owed_work_is_stuck(night: OnCallScenario) -> None:
    await night.begins()
    night.simulator.faults.add("deleteParticipant", status=500, times=3)
    await night.minute(night.stuck)
    assert night.alerts() == {Alert("PstnOwedWorkStuck")}
    said = await night.follows("PstnOwedWorkStuck")
    told(said, "owed", r"delete-participant +[1-3]\b")
    told(said, "call", r"Room owes +delete-participant .*tried \d times in vain")
    told(said, "logs", "effect.retried .*delete-participant", "request.sent .*delete-participant .*500")
