"""The simulator's HTTP APIs: tokens, sessions, calls, faults, the ledger, the control API."""

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.simulator import SimulatorSettings
from tests.simulator.auth import AccessTokens
from tests.simulator.faults import Fault
from tests.simulator.scripted import NO_TLS, ScriptedScene, scene, transfer

PARK = '<Response><Pause duration="86400"/></Response>'
ROOT = Path(__file__).parents[1]
GRANT = {"grant_type": "client_credentials"}


async def access_token(stage: ScriptedScene) -> str:
    answer = await stage.client.post(
        stage.sim.token_url, data=GRANT, auth=(stage.sim.client_id, stage.sim.client_secret)
    )
    assert answer.status_code == 200
    assert answer.json()["token_type"] == "bearer"
    assert answer.json()["expires_in"] == stage.sim.settings.token_lifetime
    return str(answer.json()["access_token"])


def bearer(token: str) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {token}"}, "auth": None}


async def test_tokens_are_for_the_client_until_they_are_revoked() -> None:
    async with scene(SimulatorSettings(voice_auth="oauth", webrtc_auth="basic")) as stage:
        wrong = await stage.client.post(stage.sim.token_url, data=GRANT, auth=("x", "y"))
        assert wrong.status_code == 401
        token = await access_token(stage)
        listed = await stage.client.get(stage.voice, **bearer(token))
        assert listed.status_code == 200
        assert (await stage.client.get(stage.voice)).json()["type"] == "authentication-error"
        refused = await stage.client.post(f"{stage.webrtc}/sessions", json={}, **bearer(token))
        assert (refused.status_code, refused.json()) == (401, {"message": "Unauthorized"})
        assert (await stage.client.post(f"{stage.webrtc}/sessions", json={})).status_code == 200
        stage.sim.revoke_tokens()
        assert (await stage.client.get(stage.voice, **bearer(token))).status_code == 401
        assert [one.scheme for one in stage.sim.requests if one.operation == "listCalls"] == [
            "bearer",
            "basic",
            "bearer",
        ]
        assert stage.sim.complaints == []


def test_tokens_expire() -> None:
    now = 0.0
    tokens = AccessTokens(60, lambda: now)
    token = tokens.issue()
    now = 59.9
    assert tokens.valid(token)
    now = 60.0
    assert not tokens.valid(token)


@pytest.mark.parametrize("form", [{}, {"grant_type": "password"}, GRANT | {"scope": "x"}])
async def test_the_token_endpoint_takes_one_grant(form: dict[str, str]) -> None:
    async with scene() as stage:
        answer = await stage.client.post(
            stage.sim.token_url, data=form, auth=(stage.sim.client_id, stage.sim.client_secret)
        )
        assert answer.status_code in {400, 415}
        assert len(stage.sim.complaints) == 1


async def test_a_participant_is_created_read_and_deleted() -> None:
    async with scene() as stage:
        body = {"tag": "phone", "publishPermissions": ["AUDIO"], "deviceApiVersion": "V3"}
        created = await stage.client.post(f"{stage.webrtc}/participants", json=body)
        assert created.status_code == 200
        participant, token = created.json()["participant"], created.json()["token"]
        assert participant["sessions"] == []
        assert participant["subscriptions"] == {}
        assert len(token) == 131
        claims = token.split(".")[1]
        decoded = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        assert (decoded["v"], decoded["p"]) == ("v3", participant["id"])
        path = f"{stage.webrtc}/participants/{participant['id']}"
        session = await stage.session()
        await stage.add(session, participant["id"])
        read = (await stage.client.get(path)).json()
        assert read == participant | {"sessions": [session], "subscriptions": {"sessionId": session}}
        assert (await stage.client.delete(path)).status_code == 204
        gone = await stage.client.get(path)
        assert gone.status_code == 404
        assert set(gone.json()) == {"error", "requestId"}
        assert stage.sim.complaints == []


@pytest.mark.parametrize(
    "body",
    [
        {"tag": "x" * 51},
        {"deviceApiVersion": "v3"},
        {"publishPermissions": ["AUDIO", "AUDIO"]},
        {"publishPermissions": ["SMELL"]},
        {"callbackUrl": "/events"},
        {"colour": "red"},
        {"sessions": []},
    ],
)
async def test_participants_are_validated(body: dict[str, Any]) -> None:
    async with scene() as stage:
        answer = await stage.client.post(f"{stage.webrtc}/participants", json=body)
        assert answer.status_code == 400
        assert set(answer.json()) == {"error", "requestId"}
        assert len(stage.sim.complaints) == 1
        assert stage.sim.ledger.empty


async def test_a_session_takes_twenty() -> None:
    async with scene() as stage:
        session = await stage.session()
        for _ in range(20):
            await stage.seat(session)
        participant, _ = await stage.participant()
        assert (await stage.add(session, participant)).status_code == 409
        assert len(stage.sim.sessions.sessions[session].members) == 20
        assert stage.sim.complaints == []


async def test_a_participant_is_in_one_session_at_a_time() -> None:
    async with scene() as stage:
        seat, other = await stage.seat(), await stage.session()
        assert (await stage.add(other, seat.participant_id)).status_code == 409
        member = f"{stage.webrtc}/sessions/{seat.session_id}/participants/{seat.participant_id}"
        assert (await stage.client.delete(member)).status_code == 204
        assert (await stage.client.delete(member)).status_code == 404
        assert (await stage.add(other, seat.participant_id)).status_code == 204


async def test_subscriptions_are_kept_replaced_and_removed() -> None:
    async with scene() as stage:
        seat = await stage.seat()
        path = f"{stage.webrtc}/sessions/{seat.session_id}/participants/{seat.participant_id}/subscriptions"
        assert (await stage.client.get(path)).json() == {"sessionId": seat.session_id}
        other = await stage.seat(seat.session_id)
        named = {"participants": [{"participantId": other.participant_id, "streamAliases": ["mic"]}]}
        assert (await stage.client.put(path, json=named)).status_code == 204
        assert (await stage.client.get(path)).json() == named
        assert (await stage.client.put(path)).status_code == 204
        assert (await stage.client.get(path)).status_code == 204
        assert stage.sim.complaints == []
        assert (await stage.client.put(path, json={"sessionId": "another"})).status_code == 400
        assert len(stage.sim.complaints) == 1


async def test_a_list_of_participants_overrides_the_session() -> None:
    async with scene() as stage:
        phone = await stage.bridged()
        session = f"{stage.webrtc}/sessions/{phone.session_id}"
        path = f"{session}/participants/{phone.participant_id}/subscriptions"
        first, second = await stage.seat(phone.session_id), await stage.seat(phone.session_id)
        assert stage.sim.hears(phone) == {first.participant_id, second.participant_id}
        named = [{"participantId": second.participant_id}]
        body = {"sessionId": phone.session_id, "participants": named}
        assert (await stage.client.put(path, json=body)).status_code == 204
        assert (await stage.client.get(path)).json() == body
        assert stage.sim.hears(phone) == {second.participant_id}
        third = await stage.seat(phone.session_id)
        assert stage.sim.hears(phone) == {second.participant_id}
        await stage.client.put(path, json=body | {"participants": []})
        assert stage.sim.hears(phone) == {one.participant_id for one in (first, second, third)}
        await stage.client.delete(f"{session}/participants/{second.participant_id}")
        assert stage.sim.hears(phone) == {first.participant_id, third.participant_id}
        await stage.client.put(path, json={"participants": []})
        assert stage.sim.hears(phone) == set()
        assert (await stage.client.get(path)).status_code == 204
        assert stage.sim.complaints == []


async def test_only_members_can_be_subscribed_to() -> None:
    async with scene() as stage:
        seat, elsewhere = await stage.seat(), await stage.seat()
        newcomer, _ = await stage.participant()
        member = f"{stage.webrtc}/sessions/{seat.session_id}/participants"
        for stranger in (elsewhere.participant_id, newcomer, "nobody"):
            body = {"participants": [{"participantId": seat.participant_id}, {"participantId": stranger}]}
            for path in (f"{member}/{newcomer}", f"{member}/{seat.participant_id}/subscriptions"):
                answer = await stage.client.put(path, json=body)
                assert (answer.status_code, set(answer.json())) == (404, {"error", "requestId"})
        assert [one["id"] for one in (await stage.client.get(member)).json()] == [seat.participant_id]
        kept = await stage.client.get(f"{member}/{seat.participant_id}/subscriptions")
        assert kept.json() == {"sessionId": seat.session_id}
        body = {"participants": [{"participantId": seat.participant_id}]}
        assert (await stage.client.put(f"{member}/{newcomer}", json=body)).status_code == 204
        assert stage.sim.complaints == []


async def test_nobody_is_subscribed_to_without_being_a_member_himself() -> None:
    async with scene() as stage:
        seat, elsewhere = await stage.seat(), await stage.seat()
        member = f"{stage.webrtc}/sessions/{seat.session_id}/participants/{elsewhere.participant_id}"
        body = {"participants": [{"participantId": seat.participant_id}]}
        assert (await stage.client.put(member, json=body)).status_code == 409
        assert (await stage.client.put(f"{member}/subscriptions", json=body)).status_code == 404
        assert (await stage.client.get(f"{member}/subscriptions")).status_code == 404


async def test_members_are_listed() -> None:
    async with scene() as stage:
        session = await stage.session()
        path = f"{stage.webrtc}/sessions/{session}/participants"
        assert (await stage.client.get(path)).status_code == 204
        seat = await stage.seat(session)
        assert [one["id"] for one in (await stage.client.get(path)).json()] == [seat.participant_id]


@pytest.mark.parametrize("how", ["expired", "deleted"])
async def test_a_session_that_goes_takes_memberships_with_it(how: str) -> None:
    async with scene() as stage:
        seat = await stage.seat()
        path = f"{stage.webrtc}/sessions/{seat.session_id}"
        if how == "expired":
            stage.sim.expire_session(seat.session_id)
        else:
            assert (await stage.client.delete(path)).status_code == 204
        assert (await stage.client.get(path)).status_code == 404
        participant = await stage.client.get(f"{stage.webrtc}/participants/{seat.participant_id}")
        assert participant.json()["sessions"] == []
        assert participant.json()["subscriptions"] == {}
        assert (await stage.add(seat.session_id, seat.participant_id)).status_code == 404


async def test_what_is_not_simulated_is_refused_and_complained_about() -> None:
    async with scene() as stage:
        for method, path in [
            ("GET", f"{stage.webrtc}/sessions"),
            ("PUT", f"{stage.voice}/c-1/bxml"),
            ("GET", "/elsewhere"),
        ]:
            assert (await stage.client.request(method, path)).status_code == 404
        assert len(stage.sim.complaints) == 3
        foreign = await stage.client.get("/v1/accounts/1/sessions/x")
        assert (foreign.status_code, foreign.json()) == (403, {"message": "Access is denied"})


async def test_faults_strike_as_often_as_ordered() -> None:
    async with scene() as stage:
        stage.sim.faults.add("createSession", status=429, times=2, retry_after="3")
        for _ in range(2):
            answer = await stage.client.post(f"{stage.webrtc}/sessions", json={})
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
        assert stage.sim.ledger.empty
        assert (await stage.client.post(f"{stage.webrtc}/sessions", json={})).status_code == 200
        assert stage.sim.ledger.unreceived == []


async def test_a_create_whose_answer_is_lost_is_in_the_ledger() -> None:
    async with scene() as stage:
        stage.sim.faults.add("createSession", status=500, executed=True)
        stage.sim.faults.add("createSession", reset=True, executed=True)
        assert (await stage.client.post(f"{stage.webrtc}/sessions", json={})).status_code == 500
        with pytest.raises(httpx.RemoteProtocolError):
            await stage.client.post(f"{stage.webrtc}/sessions", json={})
        gate = stage.sim.gates.hold("createSession")
        with pytest.raises(httpx.ReadTimeout):
            await stage.client.post(f"{stage.webrtc}/sessions", json={}, timeout=0.1)
        gate.release()
        await stage.sim.until(lambda: len(stage.sim.requests) == 3)
        alive = stage.sim.ledger.alive().sessions
        assert [one.id for one in stage.sim.ledger.unreceived] == alive
        assert [one.created for one in stage.sim.requests] == alive
        assert {one.host for one in stage.sim.requests} == {"127.0.0.1"}
        assert [one.status for one in stage.sim.requests] == [500, None, None]
        assert [one.told for one in stage.sim.requests] == [False, False, True]


async def test_a_hung_request_goes_on_when_it_is_released() -> None:
    async with scene() as stage:
        fault = stage.sim.faults.add("createSession", hang=True)
        asking = asyncio.ensure_future(stage.session())  # noqa: TID251 - awaited below
        await stage.sim.until(lambda: True)
        fault.release()
        assert await asking in stage.sim.sessions.sessions
        assert fault.hit_count == 1


async def test_a_hung_request_is_cut_off_when_it_is_released() -> None:
    async with scene() as stage:
        fault = stage.sim.faults.add("createSession", hang=True, reset=True, executed=True)
        asking = asyncio.ensure_future(stage.session())  # noqa: TID251 - awaited below
        await stage.sim.until(lambda: bool(stage.sim.sessions.sessions))
        fault.release()
        with pytest.raises(httpx.RemoteProtocolError):
            await asking
        await stage.sim.until(lambda: bool(stage.sim.requests))
        [asked] = stage.sim.requests
        assert (asked.fault, asked.told, asked.received) == ("hang, reset, carried out", False, False)


async def test_the_fate_of_each_request_is_asked_for() -> None:
    async with scene() as stage:
        order = stage.sim.faults.add("createSession", status=503)
        struck = Fault("createSession", status=429, name="fate")
        stage.sim.faults.fault_for = lambda operation: struck if operation == "createSession" else None
        assert stage.sim.faults.pending("createSession") == 1
        statuses = [
            (await stage.client.post(f"{stage.webrtc}/sessions", json={})).status_code for _ in range(3)
        ]
        assert statuses == [503, 429, 429]
        assert (order.hit_count, struck.hit_count, stage.sim.faults.pending("createSession")) == (1, 2, 0)
        assert stage.sim.requests[-1].fault == "status 429, fate"
        await stage.participant()
        stage.sim.faults.clear()
        await stage.session()


async def test_an_answer_is_rewritten_with_its_status_and_no_refusal_is() -> None:
    async with scene() as stage:
        for status in (202, 204):
            stage.sim.faults.add("createSession", status=status, rewrite=lambda _: None)
            answer = await stage.client.post(f"{stage.webrtc}/sessions", json={})
            assert (answer.status_code, answer.content) == (status, b"")
        session_id = await stage.session()
        stage.sim.faults.add("deleteSession", rewrite=lambda _: b"<html>", times=2)
        deletes = [await stage.client.delete(f"{stage.webrtc}/sessions/{session_id}") for _ in range(2)]
        assert [one.status_code for one in deletes] == [200, 404]
        assert [one.told for one in stage.sim.requests if one.created] == [False, False, True]


async def test_latency_is_added() -> None:
    async with scene() as stage:
        stage.sim.latency = 0.05
        await stage.session()
        assert stage.sim.requests[-1].ms >= 50


async def test_settling_names_what_is_alive() -> None:
    async with scene() as stage:
        seat = await stage.seat()
        with pytest.raises(AssertionError, match=seat.participant_id):
            await stage.sim.settled(timeout=0.05)
        stage.service.on("initiate", transfer(f"{seat.token};encoding=jwt"))
        phone = await stage.sim.dial()
        await phone.until("bridged")
        alive = stage.sim.ledger.alive()
        assert alive.calls == [phone.call_id]
        assert phone.leg is not None
        assert alive.legs == [phone.leg.call_id]
        assert (alive.sessions, alive.participants) == ([seat.session_id], [seat.participant_id])
        await phone.hang_up()
        await stage.client.delete(f"{stage.webrtc}/participants/{seat.participant_id}")
        await stage.client.delete(f"{stage.webrtc}/sessions/{seat.session_id}")
        await stage.sim.settled()


async def test_the_control_api_drives_phones() -> None:
    async with scene() as stage:
        stage.service.on("initiate", "<Response><SpeakSentence>hello</SpeakSentence></Response>", PARK)
        dialled = await stage.client.post("/simulator/dial", json={"from": "+15557650000"})
        (call_id,) = dialled.json()["callIds"]
        await stage.sim.phone(call_id).until("ended")
        view = (await stage.client.get(f"/simulator/phones/{call_id}")).json()
        assert (view["heard"], view["state"], view["from"]) == (["hello"], "ended", "+15557650000")
        (second,) = (await stage.client.post("/simulator/dial")).json()["callIds"]
        await stage.sim.phone(second).until("answered")
        assert (await stage.client.get("/simulator/ledger")).json()["alive"]["calls"] == [second]
        await stage.client.post(f"/simulator/phones/{second}/hangup")
        assert (await stage.client.get("/simulator/ledger")).json()["empty"] is True
        assert (await stage.client.get("/simulator/phones/nobody")).status_code == 404
        assert (await stage.client.post("/simulator/faults", json={"operation": "x"})).status_code == 400
        await stage.client.post("/simulator/faults", json={"operation": "createSession", "status": 503})
        assert (await stage.client.post(f"{stage.webrtc}/sessions", json={})).status_code == 503
        await stage.client.post("/simulator/latency", json={"seconds": 0.01})
        assert stage.sim.latency == 0.01
        assert (await stage.client.get("/simulator/complaints")).json() == []


async def test_the_simulator_runs_in_a_process_of_its_own() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.simulator", "--account", "77", "--callback", "http://127.0.0.1:9/voice",
        stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    printed = [(await process.stdout.readline()).decode().strip() for _ in range(9)]
    variables = dict(one.removeprefix("export ").split("=", 1) for one in printed[1:])
    assert variables["BW_ACCOUNT_ID"] == "77"
    url = variables["BW_VOICE_URL"].removesuffix("/api/v2")
    async with httpx.AsyncClient(base_url=url, verify=NO_TLS) as client:
        assert (await client.get("/simulator/ledger")).json()["empty"] is True
        (call_id,) = (await client.post("/simulator/dial")).json()["callIds"]
        assert call_id.startswith("c-")
    process.terminate()
    assert await process.wait() == 0
