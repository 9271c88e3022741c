"""Phones and browsers that can be heard, for the tests of the simulator's media plane."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.sdk_browser import SdkBrowser
from tests.simulator import Phone, SimulatorSettings
from tests.simulator.scripted import JoinedParticipant, ScriptedScene, scene, transfer, uui

MICROPHONE = 1000
OTHER_MICROPHONE = 1500
# Of full scale. A tone has 0.2, and a microphone 0.14: it is made stereo on its way.
AUDIBLE = 0.05
CLEAR = 0.1


@asynccontextmanager
async def simulator_with_audio(**settings: object) -> AsyncIterator[ScriptedScene]:
    """A scene with media, in which nobody may be left at the end."""
    async with scene(SimulatorSettings(media=True, **settings)) as stage:  # type: ignore[arg-type]  # by name
        yield stage
        await stage.sim.until(lambda: not stage.sim.media.devices, what="no device left")
        assert stage.sim.complaints == []


async def seats(stage: ScriptedScene, number: int) -> list[JoinedParticipant]:
    """In one session, each subscribed to all of it."""
    session_id = await stage.session()
    return [await stage.seat(session_id) for _ in range(number)]


def browser(stage: ScriptedScene, seat: JoinedParticipant) -> SdkBrowser:
    return SdkBrowser(stage.sim.device_url, seat.token)


async def phone(stage: ScriptedScene, seat: JoinedParticipant) -> Phone:
    """One that is through to its participant."""
    stage.service.on("initiate", transfer(uui(seat.token)))
    phone = await stage.sim.dial()
    await phone.until("bridged")
    return phone


async def heard(stage: ScriptedScene, sounds: Callable[[], object], expected: object) -> None:
    await stage.sim.until(lambda: sounds() == expected, what=f"{expected}, but {sounds()}")


async def hears(stage: ScriptedScene, phone: Phone, *hz: int) -> None:
    await heard(stage, lambda: stage.sim.media.heard(phone).frequencies(AUDIBLE), [*hz])


async def listen(
    stage: ScriptedScene, listener: JoinedParticipant, speakers: list[dict[str, object]]
) -> None:
    path = (
        f"{stage.webrtc}/sessions/{listener.session_id}/participants/{listener.participant_id}/subscriptions"
    )
    response = await stage.client.put(path, json={"sessionId": listener.session_id, "participants": speakers})
    assert response.status_code == 204
