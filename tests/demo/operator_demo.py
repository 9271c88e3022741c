"""The calls of the demo that operators see to: placed, held, moved, let in by digits, bridged."""

from typing import Final

from tests.demo.bridge import CONFERENCE
from tests.demo.calls import CALLERS, PRIVATE, TAKEN_DOWN, DemoRun
from tests.demo.checks import CheckFailed, ExpectedSteps
from tests.demo.output import BANDWIDTH, PHONE
from tests.operators import Json
from tests.simulator.phones import Phone
from tests.waiting import wait_until

CALLEE: Final = "+19195550177"
_PIN: Final = "4711"

_INTO: Final[ExpectedSteps] = ["BXML <Transfer>", "webhook transferAnswer", "call bridged"]
_MADE: Final[ExpectedSteps] = [{"createSession", "createParticipant"}, "addParticipantToSession"]
HUNG_UP: Final[ExpectedSteps] = ["updateCall", {"call ended", "webhook disconnect"}]
ON_ANSWER: Final[ExpectedSteps] = ["createCall", "webhook answer", *_MADE, *_INTO, *HUNG_UP]
WHILE_IT_RINGS: Final[ExpectedSteps] = [
    "createCall",
    "addParticipantToSession",
    "webhook answer",
    *_INTO,
    *HUNG_UP,
]
PREPARED: Final[ExpectedSteps] = [*_MADE, "webhook answer"]
HELD: Final[ExpectedSteps] = [
    "call bridged",
    "updateCall",
    "webhook redirect",
    "BXML <SpeakSentence> <Pause> <Redirect>",
    "updateCall",
    "webhook redirect",
    *_MADE,
    *_INTO,
]
TAKEN_OUT: Final[ExpectedSteps] = ["call bridged", *TAKEN_DOWN]
MOVED: Final[ExpectedSteps] = [
    "call bridged",
    "createSession",
    "removeParticipantFromSession",
    "addParticipantToSession",
    "deleteSession",
    {"call ended", "webhook disconnect"},
    *TAKEN_DOWN,
]
ASKED: Final[ExpectedSteps] = [
    "webhook initiate",
    "BXML <Gather>",
    "webhook gather",
    "BXML <Gather>",
    "webhook gather",
    *_MADE,
    "BXML <SpeakSentence> <Transfer>",
    *_INTO[1:],
]
_BRIDGED: Final[ExpectedSteps] = ["addParticipantToSession", "createCall", "BXML <Bridge>", "call bridged"]
TWO_LEGS: Final[ExpectedSteps] = [
    "webhook initiate",
    {"createSession", "createParticipant"},
    *_BRIDGED,
    "createParticipant",
    *_BRIDGED,
    {"call ended", "webhook disconnect"},
]


async def on_answer(stage: DemoRun) -> None:
    await _placed(stage, prepare="answer")


async def while_it_rings(stage: DemoRun) -> None:
    await _placed(stage, prepare="dial")


async def _placed(stage: DemoRun, *, prepare: str) -> None:
    call, phone = await _ringing(stage, prepare=prepare)
    if prepare == "dial":
        await _prepared(stage, call["id"])
    phone.pick_up()
    await phone.until("bridged")
    await stage.operator.until(call["id"], "bridged")
    await stage.operator.order(call["id"], "hangup")
    await phone.until("ended")


async def held_and_joined_again(stage: DemoRun) -> None:
    call, phone = await _bridged(stage)
    participant = phone.participant_id
    await stage.operator.order(call["id"], "hold")
    await phone.hears("Please hold")
    await stage.simulator.until(
        lambda: not stage.simulator.ledger.alive().sessions, what="participant and session are gone"
    )
    stage.check(phone.state == "answered", "the phone was hung up")
    stage.note(BANDWIDTH, PHONE, "the phone is still up", "caller 1, on hold")
    await stage.operator.order(call["id"], "join", room="support")
    await phone.until("bridged")
    stage.check(phone.participant_id != participant, "it is still the old participant")
    await phone.hang_up()


async def moved(stage: DemoRun) -> None:
    call, phone = await _bridged(stage)
    before, leg, participant = phone.session_id, phone.leg, phone.participant_id
    await stage.operator.order(call["id"], "join", room="support")
    await stage.simulator.until(
        lambda: phone.session_id not in {None, before}, what="the participant is in the other session"
    )
    await stage.simulator.until(
        lambda: len(stage.simulator.ledger.alive().sessions) == 1, what="the first session is gone"
    )
    stage.check(
        phone.leg is leg and phone.participant_id == participant, "the phone has another leg into WebRTC"
    )
    stage.note(BANDWIDTH, BANDWIDTH, "both legs have stayed up", "caller 1")
    await phone.hang_up()


async def named_by_digits(stage: DemoRun) -> None:
    await stage.operator.ask("PUT", "/rooms/board", {"pin": _PIN, "announcement": "Welcome to the board."})
    phone = await stage.simulator.dial(to=CONFERENCE, from_=CALLERS[0])
    await phone.hears("conference code")
    phone.press("0000#")
    await phone.hears("not known")
    phone.press(f"{_PIN}#")
    await phone.until("bridged")
    stage.check("Welcome to the board." in phone.heard, "the room's announcement was not heard")
    stage.check((await stage.operator.call(phone.call_id))["room"] == "board", "it is in another room")
    await phone.hang_up()
    await stage.operator.ask("PUT", "/rooms/board", {})


async def outlives_its_leg(stage: DemoRun) -> None:
    """Two legs: the end of the one into WebRTC is not the end of the phone."""
    simulator = stage.simulator
    await stage.operator.ask("PUT", "/rooms/sales", {"interconnect": "bridge"})
    phone = await simulator.dial(to=stage.sales, from_=CALLERS[0])
    await phone.until("bridged")
    first = phone.participant_id
    await phone.far_end_hangs_up()
    await simulator.until(lambda: phone.participant_id not in {None, first}, what="the phone is joined again")
    stage.note(BANDWIDTH, PHONE, "the phone has outlived its leg", "caller 1")
    await phone.hang_up()
    await stage.operator.ask("PUT", "/rooms/sales", {})


async def answer_to_bridged(stage: DemoRun, times: int) -> dict[str, list[float]]:
    """Milliseconds from the answer of a phone that was called to its bridge, for each way and order."""
    found: dict[str, list[float]] = {}
    try:
        for way in ("transfer", "bridge"):
            for prepare in ("answer", "dial"):
                row = found.setdefault(f"{way}, prepared on {prepare}", [])
                for _ in range(times):
                    row.append(await _time(stage, way, prepare))
    except AssertionError as error:
        raise CheckFailed(str(error)) from error
    return found


async def _time(stage: DemoRun, way: str, prepare: str) -> float:
    simulator = stage.simulator
    call, phone = await _ringing(stage, prepare=prepare, interconnect=way)
    if prepare == "dial":
        await _prepared(stage, call["id"])
    stage.lines.clear()
    phone.pick_up()
    await phone.until("bridged")
    took = stage.between("webhook answer", "call bridged")
    await stage.operator.order(call["id"], "hangup")
    await simulator.settled()
    return took


async def _prepared(stage: DemoRun, id_: str) -> None:
    async def made() -> bool:
        return bool((await stage.operator.call(id_))["participantId"])

    await wait_until(made, what="the participant was not there before the phone answered")


async def _ringing(stage: DemoRun, **options: str) -> tuple[Json, Phone]:
    stage.simulator.numbers[CALLEE] = "ring"
    call = await stage.operator.place(CALLEE, "sales", **options)
    return call, await stage.simulator.called(CALLEE)


async def _bridged(stage: DemoRun) -> tuple[Json, Phone]:
    phone = await stage.simulator.dial(to=PRIVATE, from_=CALLERS[0])
    await phone.until("bridged")
    return await stage.operator.until(phone.call_id, "bridged"), phone
