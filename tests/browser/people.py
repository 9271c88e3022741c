"""People at the page: what they press, what they see, and what they hear, measured in the page."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from playwright.async_api import Locator, Page, expect

from tests.harness import RunningService
from tests.operators import Operator
from tests.simulator.phones import Phone
from tests.simulator.simulator import Simulator
from tests.waiting import wait_until

PATIENCE: Final = 30_000
"""Milliseconds; a browser on a busy machine."""

# By each audio element, its stream's strongest frequency and how strong that is, over a third of a second.
LISTEN: Final = """
async () => {
  const context = (globalThis.testContext ??= new AudioContext({ sampleRate: 48000 }));
  await context.resume();
  const analysers = (globalThis.testAnalysers ??= new Map());
  const heard = {};
  const playing = [...document.querySelectorAll("audio[data-participant]")];
  for (const audio of playing) {
    const stream = audio.srcObject;
    if (!stream || audio.paused || analysers.has(stream)) continue;
    const analyser = context.createAnalyser();
    analyser.fftSize = 16384;
    analyser.smoothingTimeConstant = 0;
    context.createMediaStreamSource(stream).connect(analyser);
    analysers.set(stream, analyser);
  }
  await new Promise((resolve) => setTimeout(resolve, 350));
  for (const audio of playing) {
    const analyser = analysers.get(audio.srcObject);
    if (!analyser) continue;
    const bins = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(bins);
    let top = 0;
    for (let bin = 1; bin < bins.length; bin++) if (bins[bin] > bins[top]) top = bin;
    heard[audio.dataset.participant] = { hz: (top * 48000) / 16384, db: bins[top] };
  }
  return heard;
}
"""
AUDIBLE: Final = -60.0
"""Decibels below full scale; a phone's tone has about -20."""
_OFF: Final = 12
"""Hertz by which a tone may be off: resampling, and the width of what is told apart."""


class Person:
    """Somebody whose microphone hears one tone of `hz`."""

    def __init__(self, page: Page, hz: int) -> None:
        self.page = page
        self.hz = hz
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._note)
        page.set_default_timeout(PATIENCE)

    def _note(self, message: Any) -> None:
        if "Content Security Policy" in message.text:
            self.problems.append(message.text)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def heading(self, name: str) -> Locator:
        return self.page.get_by_role("heading", name=name)

    async def open(self, url: str) -> None:
        await self.page.goto(url)
        await expect(self.heading("Join the room")).to_be_visible(timeout=PATIENCE)

    async def check_microphone(self) -> None:
        # What takes echoes and noise out would take a steady tone out as well.
        await self.page.get_by_role("checkbox", name="Original sound").check()
        await self.button("Check microphone").click()
        await expect(self.page.get_by_text("Your microphone works.")).to_be_visible(timeout=PATIENCE)

    async def join(self, url: str, name: str) -> None:
        await self.open(url)
        await self.page.get_by_role("textbox", name="Your name").fill(name)
        await self.check_microphone()
        await self.button("Join").click()
        await self.is_in()

    async def is_in(self) -> None:
        await expect(self.page.locator("#in-room")).to_be_visible(timeout=PATIENCE)

    async def leave(self) -> None:
        await self.button("Leave").click()
        await expect(self.heading("You have left the room")).to_be_visible(timeout=PATIENCE)

    def row(self, participant_id: str | None) -> Locator:
        return self.page.locator(f"#people li[data-participant='{participant_id}']")

    async def heard(self) -> dict[str, int]:
        """Frequencies by participant, of those who can be heard."""
        levels = await self.page.evaluate(LISTEN)
        return {who: round(one["hz"]) for who, one in levels.items() if one["db"] > AUDIBLE}

    async def hears(self, *tones: int, seconds: float = 30.0) -> dict[str, int]:
        """Wait until it is these tones and no others, each from somebody else; who makes which."""
        found: dict[str, int] = {}

        async def so() -> bool:
            found.clear()
            found.update(await self.heard())
            return matches(found.values(), tones)

        await wait_until(so, seconds=seconds, what=lambda: f"hears {found}, not {tones}")
        return dict(found)

    async def own_id(self) -> str:
        """Bandwidth's id of the participant that this person is at present."""
        row = self.page.locator("#people li", has_text="(you)")
        return str(await row.get_attribute("data-participant"))


def matches(heard: Any, tones: tuple[int, ...]) -> bool:
    found, wanted = sorted(heard), sorted(tones)
    return len(found) == len(wanted) and all(
        abs(one - other) <= _OFF for one, other in zip(found, wanted, strict=True)
    )


@dataclass
class BrowserSetup:
    simulator: Simulator
    service: RunningService
    operator: Operator
    arrive: Callable[[int], Awaitable[Person]]
    """Somebody new, in a browser of their own, with a microphone that hears this tone."""
    persons: list[Person] = field(default_factory=list)

    async def link(self, room: str = "sales", **body: Any) -> str:
        made = await self.operator.ask("POST", f"/rooms/{room}/invitations", body)
        return str(made["url"]).replace("http://localhost", self.service.url)

    async def person(self, hz: int, name: str, **body: Any) -> Person:
        """Somebody in the room."""
        person = await self.arrive(hz)
        await person.join(await self.link(**body), name)
        self.persons.append(person)
        return person

    async def phone(self) -> Phone:
        phone = await self.simulator.dial()
        await phone.until("bridged", timeout=10)
        return phone

    async def phone_hears(self, phone: Phone, *tones: int, seconds: float = 30.0) -> None:
        found: list[int] = []

        def so() -> bool:
            found[:] = self.simulator.media.heard(phone).frequencies()
            return matches(found, tones)

        await wait_until(so, seconds=seconds, what=lambda: f"the phone hears {found}, not {tones}")
