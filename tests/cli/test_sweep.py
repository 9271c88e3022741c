"""`sweep`: what the logs tell of and nobody knows is taken down, and nothing else; calls are only listed."""

import json
import re
import signal
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from service.bandwidth.api_client import HttpClient
from service.bandwidth.auth import Basic
from service.bandwidth.create_call import CreateCallRequest
from service.bandwidth.voice import VoiceApi
from service.bandwidth.webrtc import WebRtcApi
from service.store import keys
from tests.cli.shell import CommandResult, Shell, run
from tests.harness import CALLEE, NUMBER, ORIGIN, RunningService
from tests.operators import Operator, bridged, operator_for
from tests.processes import environment, replica
from tests.simulator.simulator import Simulator
from tests.stores import RestartableStore
from tests.test_stopping import point_at
from tests.waiting import wait_until

OLD: Final = timedelta(minutes=11)
YOUNG: Final = timedelta(minutes=9)
CHANGES: Final = {
    "deleteParticipant",
    "deleteSession",
    "removeParticipantFromSession",
    "updateCall",
    "createCall",
}
Lines = Iterable[Mapping[str, Any]]
LOSSES: Final = ("store.state_lost", "store.marked")
ORDINARY: Final = json.dumps({"event": "service.ready", "level": "info", "timestamp": "2026-11-29T08:00:07Z"})


def aged(lines: Lines, age: timedelta = OLD) -> str:
    """As a log has them, written so long before."""
    return "".join(
        json.dumps({**line, "timestamp": (datetime.fromisoformat(line["timestamp"]) - age).isoformat()})
        + "\n"
        for line in lines
    )


def made(age: timedelta = OLD, **ids: Any) -> str:
    now = datetime.now(UTC).isoformat()  # noqa: TID251 - as a log has it
    return aged([{"timestamp": now, "level": "info", "event": "create.done", "room": "r", **ids}], age)


def fates(said: CommandResult) -> dict[str, str]:
    return {one["id"]: one["fate"] for one in said.objects}


def changes(simulator: Simulator) -> list[str]:
    return [one.operation for one in simulator.requests if one.operation in CHANGES]


class Maker:
    """Makes things at Bandwidth of which nobody knows."""

    def __init__(self, simulator: Simulator, http: HttpClient) -> None:
        credentials = Basic(simulator.username, simulator.password)
        self.webrtc = WebRtcApi(http, simulator.webrtc_url, simulator.account_id, credentials)
        self.voice = VoiceApi(http, simulator.voice_url, simulator.account_id, credentials)
        self._application = simulator.application_id

    async def session(self) -> str:
        return await self.webrtc.create_session(tag="t", timeout=5)

    async def participant(self, session: str = "") -> str:
        made = await self.webrtc.create_participant(tag="t", callback_url=None, timeout=5)
        if session:
            await self.webrtc.add_participant(session, made.id, timeout=5)
        return made.id

    async def call(self) -> str:
        order = CreateCallRequest(
            to=CALLEE,
            from_=NUMBER,
            application_id=self._application,
            answer_url=f"{ORIGIN}/elsewhere",
            disconnect_url=f"{ORIGIN}/elsewhere",
            username="u",
            password="p",
        )
        return await self.voice.create_call(order, timeout=5)


@pytest.fixture
async def maker(simulator: Simulator) -> AsyncIterator[Maker]:
    http = HttpClient()
    yield Maker(simulator, http)
    await http.close()


@pytest.fixture
def shell(simulator: Simulator, service: RunningService, store_url: str) -> Shell:
    return Shell.at(simulator, service, store_url, BW_VOICE_APPLICATION_ID=simulator.application_id)


@pytest.fixture
async def store() -> AsyncIterator[RestartableStore]:
    with tempfile.TemporaryDirectory(prefix="bridge-sweep-") as directory:
        store = RestartableStore(Path(directory))
        await store.start()
        yield store
        await store.stop()


async def test_what_a_killed_replica_has_left(
    simulator: Simulator, store: RestartableStore, tmp_path: Path
) -> None:
    """Between the answers of two creates and the store, which has just gone."""
    settings = environment(simulator, REDIS_URL=store.url)
    log = tmp_path / "replica.log"
    async with replica(settings) as killed:
        point_at(simulator, killed.url)
        gates = [simulator.gates.hold(one) for one in ("createSession", "createParticipant")]
        phone = await simulator.dial()
        for gate in gates:
            await gate.reached()
        await store.kill()
        for gate in gates:
            gate.release()
        await wait_until(lambda: len(killed.log("create.done")) == 2)
        killed.signal(signal.SIGKILL)
        await killed.ended()
        log.write_text(aged(killed.log("create.done")))
    await phone.until("ended", timeout=30)
    await store.start()
    shell = Shell.beside(simulator, store.url)

    said = await shell.run("sweep", "--from-logs", str(log))
    assert [line.split()[:2] for line in said.lines[1:]] == [["left", "participant"], ["left", "session"]]
    assert "--apply" in said.err
    assert changes(simulator) == []
    alive = simulator.ledger.alive()
    assert (len(alive.sessions), len(alive.participants)) == (1, 1)

    said = await shell.run("sweep", "--json", "--from-logs", str(log), "--apply")
    assert set(fates(said).values()) == {"taken-down"}
    assert changes(simulator) == ["deleteParticipant", "deleteSession"]
    assert simulator.ledger.empty
    said = await shell.run("sweep", "--json", "--from-logs", str(log), "--apply")
    assert set(fates(said).values()) == {"gone"}
    assert simulator.complaints == []


async def test_what_is_known_and_what_is_young_stays(
    simulator: Simulator,
    service: RunningService,
    operator: Operator,
    shell: Shell,
    maker: Maker,
    tmp_path: Path,
) -> None:
    phone, _ = await bridged(simulator, operator)
    young = await maker.session()
    lost = [await maker.session(), await maker.participant()]
    log = tmp_path / "one.log"
    log.write_text(
        aged(service.log("create.done"))
        + made(YOUNG, session_id=young)
        + made(session_id=lost[0])
        + made(participant_id=lost[1])
    )
    said = await shell.run("sweep", "--json", "--apply", "--from-logs", str(log))
    assert fates(said) == {
        phone.session_id: "known",
        phone.participant_id: "known",
        young: "young",
        lost[0]: "taken-down",
        lost[1]: "taken-down",
    }
    assert set(simulator.ledger.alive().sessions) == {phone.session_id, young}
    await phone.hang_up()
    await maker.webrtc.delete_session(young, timeout=5)


async def test_what_is_owed_or_in_stock_is_known(
    simulator: Simulator, store_url: str, redis: Redis, tmp_path: Path
) -> None:
    settings = {"PREPARED_PARTICIPANTS": "1", "ROOM_POLICY": "sales"}
    async with operator_for(simulator, store_url, redis, **settings) as (service, operator):
        phone, _ = await bridged(simulator, operator)
        await wait_until(lambda: service.log("effect.done", effect="prepare-participant"))
        log = tmp_path / "one.log"
        log.write_text(aged(service.log("create.done")))
        shell = Shell.at(simulator, service, store_url)
        said = await shell.run("sweep", "--json", "--apply", "--from-logs", str(log))
        assert sorted(fates(said).values()) == ["known"] * 3
        simulator.faults.add("deleteSession", status=500, times=None)
        session = phone.session_id
        await phone.hang_up()
        await wait_until(lambda: service.log("effect.retried", effect="delete-session"))
        said = await shell.run("sweep", "--json", "--apply", "--from-logs", str(log))
        assert fates(said)[str(session)] == "known"
        simulator.faults.clear()


async def test_what_a_line_says_was_taken_down_is_not_asked_for(
    simulator: Simulator, service: RunningService, operator: Operator, shell: Shell, tmp_path: Path
) -> None:
    """A busy service makes millions of them."""
    phone, _ = await bridged(simulator, operator)
    await phone.hang_up()
    await wait_until(lambda: simulator.ledger.empty)
    await wait_until(lambda: service.log("effect.done", effect="delete-session"))
    log = tmp_path / "one.log"
    log.write_text(aged(service.log()))
    before = len(simulator.requests)
    said = await shell.run("sweep", "--json", "--apply", "--from-logs", str(log))
    assert said.objects == []
    assert {one.operation for one in simulator.requests[before:]} == {"listCalls", "token"}


async def test_a_session_with_others_inside_stays(
    simulator: Simulator, shell: Shell, maker: Maker, tmp_path: Path
) -> None:
    session = await maker.session()
    members = [await maker.participant(session) for _ in range(3)]
    log = tmp_path / "one.log"
    # One is old and named, one is young, and of one no log tells.
    log.write_text(
        made(session_id=session) + made(participant_id=members[0]) + made(YOUNG, participant_id=members[1])
    )
    arguments = ("sweep", "--json", "--from-logs", str(log))
    assert fates(await shell.run(*arguments))[session] == "in-use"
    said = await shell.run(*arguments, "--apply")
    assert fates(said) == {session: "in-use", members[0]: "taken-down", members[1]: "young"}
    assert set(simulator.ledger.alive().participants) == set(members[1:])
    for member in members:
        await maker.webrtc.delete_participant(member, timeout=5)
    assert fates(await shell.run(*arguments, "--apply"))[session] == "taken-down"


@pytest.mark.parametrize("event", LOSSES)
async def test_what_is_older_than_a_loss_of_the_store_stays(
    simulator: Simulator, shell: Shell, maker: Maker, tmp_path: Path, event: str
) -> None:
    """Emptied while a service looked, or while none ran."""
    before, after = await maker.session(), await maker.session()
    lost = {"timestamp": datetime.now(UTC).isoformat(), "level": "error", "event": event}  # noqa: TID251 - as a log has it
    log = tmp_path / "log"
    lines = [made(timedelta(minutes=30), session_id=before), aged([lost], timedelta(minutes=20))]
    log.write_text("".join([*lines, made(session_id=after)]))
    said = await shell.run("sweep", "--from-logs", str(log), "--apply", "--json")
    assert fates(said) == {before: "unsure", after: "taken-down"}
    assert simulator.ledger.alive().sessions == [before]
    assert "unsure: 1 made before the store was empty or lost what it held" in said.err
    await maker.webrtc.delete_session(before, timeout=5)


@pytest.mark.parametrize("at", [None, 5, "yesterday", "2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00"])
@pytest.mark.parametrize("event", LOSSES)
async def test_a_loss_without_a_time_is_not_taken_for_none(
    simulator: Simulator, shell: Shell, maker: Maker, tmp_path: Path, event: str, at: object
) -> None:
    lost = await maker.session()
    log = tmp_path / "log"
    log.write_text(made(session_id=lost) + json.dumps({"timestamp": at, "event": event, "level": "info"}))
    arguments = ("sweep", "--from-logs", str(log))
    said = await shell.run(*arguments, "--apply", code=1)
    assert said.err.startswith("pstn-bridge: error: when the store lost what it held cannot be read")
    assert f"{log}, line 2: {event}" in said.err
    assert simulator.ledger.alive().sessions == [lost]
    assert "warning: when the store lost what it held" in (await shell.run(*arguments)).err
    await maker.webrtc.delete_session(lost, timeout=5)


async def test_a_store_that_no_service_has_used(
    simulator: Simulator, maker: Maker, store: RestartableStore, tmp_path: Path
) -> None:
    """It knows nothing, so that everything would be taken down."""
    lost = await maker.session()
    (tmp_path / "log").write_text(made(session_id=lost))
    shell = Shell.beside(simulator, store.url)
    arguments = ("sweep", "--from-logs", str(tmp_path / "log"))
    said = await shell.run(*arguments, "--apply", code=1)
    assert said.err.startswith("pstn-bridge: error: no service has ever used this store: ")
    assert "REDIS_URL" in said.err
    assert simulator.ledger.alive().sessions == [lost]
    said = await shell.run(*arguments)
    assert "warning: no service has ever used this store" in said.err
    assert said.lines[1].split()[:2] == ["left", "session"]
    redis = Redis.from_url(store.url)
    await redis.set(keys.marker(3), "one 1")
    await redis.aclose()
    assert (await shell.run(*arguments, "--apply")).lines[1].split()[:2] == ["taken-down", "session"]
    assert simulator.ledger.empty


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-29 08:00:07 [info     ] create.done  session_id=s-1\n",
        json.dumps({"event": "store.failed", "level": "warning", "timestamp": "2026-11-29T08:00:07Z"}),
        json.dumps({"time": "2026-11-29T08:00:07Z", "msg": "of somebody else", "level": "info"}),
    ],
    ids=["empty", "console", "warnings", "foreign"],
)
async def test_logs_that_tell_nothing_are_no_all_clear(shell: Shell, tmp_path: Path, text: str) -> None:
    (tmp_path / "one.log").write_text(text)
    (tmp_path / "two.log").write_text(ORDINARY)
    said = await shell.run("sweep", "--from-logs", str(tmp_path / "one.log"), "--apply", code=1)
    assert said.err.startswith("pstn-bridge: error: no line tells what was made")
    assert "LOG_FORMAT=json and LOG_LEVEL=info" in said.err
    said = await shell.run("sweep", "--from-logs", str(tmp_path / "one.log"))
    assert "warning: no line tells what was made" in said.err
    files = [str(tmp_path / one) for one in ("one.log", "two.log")]
    said = await shell.run("sweep", "--from-logs", *files, "--apply")
    assert f"warning: no line of {files[0]} tells" in said.err
    assert f"no line of {files[1]}" not in said.err


async def test_when_to_look_again(shell: Shell, maker: Maker, tmp_path: Path) -> None:
    sessions = [await maker.session() for _ in range(2)]
    log = tmp_path / "log"
    begun = datetime.now(UTC)  # noqa: TID251 - as a log has it
    log.write_text("".join(made(YOUNG, session_id=one) for one in sessions))
    said = await shell.run("sweep", "--from-logs", str(log))
    [again] = re.findall(r"2 are younger than 10 minutes: run it again after (\d\d:\d\d) UTC", said.err)
    assert again in {f"{begun + timedelta(minutes=one):%H:%M}" for one in (2, 3)}
    for one in sessions:
        await maker.webrtc.delete_session(one, timeout=5)


async def test_calls_that_nobody_knows_are_listed_and_left_alone(
    simulator: Simulator,
    service: RunningService,
    operator: Operator,
    shell: Shell,
    maker: Maker,
    tmp_path: Path,
) -> None:
    phone, _ = await bridged(simulator, operator)
    simulator.numbers[CALLEE] = "ring"
    call_id = await maker.call()
    [ringing] = [one for one in simulator.engine.calls.values() if one.call_id == call_id]
    log = tmp_path / "one.log"
    log.write_text(ORDINARY)
    for arguments in ((), ("--from-logs", str(log), "--apply")):
        said = await shell.run("sweep", *arguments)
        [line] = said.lines[1:]
        assert line.split()[:3] == ["unknown", "call", call_id]
        assert CALLEE not in said.out
        [found] = (await shell.run("sweep", "--json", *arguments)).objects
        assert (found["id"], found["direction"]) == (call_id, "outbound")
    assert not ringing.ended
    assert phone.stage == "bridged"
    assert "updateCall" not in changes(simulator)
    await phone.hang_up()
    await maker.voice.hang_up(call_id, timeout=5)
    assert (await shell.run("sweep")).out == ""
    assert service.log(level="error") == []


async def test_our_legs_are_their_phones(simulator: Simulator, store_url: str, redis: Redis) -> None:
    async with operator_for(simulator, store_url, redis, INTERCONNECT="bridge") as (service, operator):
        phone, _ = await bridged(simulator, operator)
        assert (
            await Shell.at(
                simulator, service, store_url, BW_VOICE_APPLICATION_ID=simulator.application_id
            ).run("sweep")
        ).out == ""
        await phone.hang_up()


async def test_lines_that_say_nothing_are_counted(
    simulator: Simulator, shell: Shell, maker: Maker, tmp_path: Path
) -> None:
    lost = await maker.session()
    bad = [
        "Traceback of somebody else",
        "{",
        made(session_id="a b"),
        made(session_id=".."),
        made(session_id="../x"),
        made(session_id=["x"]),
        made(session_id="x" * 201),
        made(participant_id="x" * 2_000_000),
        json.dumps({"event": "create.done", "session_id": "no-time"}),
        json.dumps({"event": "create.done", "session_id": "no-zone", "timestamp": "2026-01-01T00:00:00"}),
        json.dumps({"event": "create.done", "session_id": "odd", "timestamp": {"a": 1}}),
        json.dumps({"event": "create.done", "session_id": "old", "timestamp": "0001-01-01T00:00:00+14:00"}),
        json.dumps({"event": "create.done", "session_id": "late", "timestamp": "2100-01-01T00:00:00Z"}),
        made(session_id="list", event=["create.done"]),
        made(session_id="object", event={}),
        '{"a": ' * 100_000 + "1" + "}" * 100_000,
        json.dumps({"event": "call.ended", "session_id": "other"}),
        json.dumps({"msg": "of somebody else", "level": "info"}),
    ]
    good = [
        json.dumps({"event": "call.ended", "session_id": "other", "timestamp": "2026-11-29T08:00:07Z"}),
        json.dumps({"event": "effect.done", "effect": [], "timestamp": "2026-11-29T08:00:07Z"}),
        made(leg_id="c-1", kind="leg"),
        "pod/bridge-1 " + made(session_id=lost),
        "",
    ]
    (tmp_path / "one.log").write_bytes("\n".join(bad).encode() + b"\n\xff\xfe\n")
    (tmp_path / "two.log").write_text("\n".join(good))
    files = [str(tmp_path / name) for name in ("one.log", "two.log")]
    said = await shell.run("sweep", "--json", "--from-logs", *files)
    assert fates(said) == {lost: "left"}
    # The longest comes in three pieces.
    assert f"lines that say nothing: {len(bad) + 3}" in said.err
    await maker.webrtc.delete_session(lost, timeout=5)


async def test_standard_input(simulator: Simulator, shell: Shell, maker: Maker) -> None:
    lost = await maker.participant()
    log = "caf\udce9\n" + made(participant_id=lost)
    said = await run("sweep", "--apply", "--from-logs", "-", env=shell.settings, stdin=log)
    assert "lines that say nothing: 1" in said.err
    assert said.lines[1].split()[:3] == ["taken-down", "participant", lost]
    assert simulator.ledger.empty


@pytest.mark.parametrize("status", [429, 503])
async def test_trouble_that_passes(
    simulator: Simulator, shell: Shell, maker: Maker, tmp_path: Path, status: int
) -> None:
    lost = await maker.session()
    (tmp_path / "one.log").write_text(made(session_id=lost))
    simulator.faults.add("deleteSession", status=status, retry_after="0")
    await shell.run("sweep", "--apply", "--from-logs", str(tmp_path / "one.log"))
    assert simulator.ledger.empty


async def test_trouble_that_does_not(
    simulator: Simulator, shell: Shell, maker: Maker, tmp_path: Path
) -> None:
    """A 404 of somebody in between says nothing about what is there."""
    session, participant = await maker.session(), await maker.participant()
    (tmp_path / "one.log").write_text(made(session_id=session) + made(participant_id=participant))
    arguments = ("sweep", "--json", "--apply", "--from-logs", str(tmp_path / "one.log"))
    simulator.faults.add("deleteParticipant", status=400)
    said = await shell.run(*arguments, code=1)
    assert fates(said) == {participant: "failed", session: "taken-down"}
    said = await shell.run(*arguments, code=1, BW_CLIENT_SECRET="wrong")
    assert said.out == ""
    assert "error: Bandwidth: " in said.err
    assert fates(await shell.run(*arguments)) == {participant: "taken-down", session: "gone"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["a.log"], 2, "pstn-bridge sweep --from-logs a.log"),
        (["--apply"], 2, "--apply wants --from-logs"),
        (["--from-logs", "/nowhere/one.log"], 1, "cannot read /nowhere/one.log"),
        (["--from-logs", ""], 2, "--from-logs wants names of files, and one is empty"),
    ],
    ids=["files", "apply", "unreadable", "empty"],
)
async def test_what_does_not_work_is_explained(
    shell: Shell, arguments: list[str], code: int, words: str
) -> None:
    assert words in (await shell.run("sweep", *arguments, code=code)).err


async def test_without_an_application_calls_are_nobodys(simulator: Simulator, store_url: str) -> None:
    shell = Shell.beside(simulator, store_url)
    said = await shell.run("sweep")
    assert "BW_VOICE_APPLICATION_ID" in said.err
    assert simulator.requests == []
