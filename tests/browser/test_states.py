"""Every state of the page, looked at by axe; SCREENSHOTS=folder keeps a picture of each, for the docs."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from playwright.async_api import expect

from tests.browser.chromium import running, tone
from tests.browser.people import PATIENCE, BrowserSetup, Person
from tests.harness import CALLEE

AXE: Final = Path(__file__).parents[2] / "handlers" / "page" / "node_modules" / "axe-core" / "axe.min.js"
PICTURES: Final = os.environ.get("SCREENSHOTS")  # noqa: TID251 - a knob of the test's own
LOOKS: Final[dict[str, tuple[int, int, Literal["light", "dark"]]]] = {
    "": (1100, 720, "light"),
    "-narrow": (320, 640, "dark"),
}
"""What is seen of a state: both sizes and both colour schemes, each once."""


class AxeResults:
    """What axe has found so far, by state."""

    def __init__(self) -> None:
        self.faults: dict[str, list[str]] = {}

    async def at(self, person: Person, state: str) -> None:
        page = person.page
        for look, (width, height, scheme) in LOOKS.items():
            await page.set_viewport_size({"width": width, "height": height})
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            await self._inspect(page, f"{state}{look}")
            if PICTURES:
                await page.evaluate("scrollTo(0, 0)")
                await page.screenshot(path=f"{PICTURES}/{state}{look}.png", animations="disabled")
        await page.emulate_media(color_scheme="light", reduced_motion="reduce")
        await page.set_viewport_size({"width": 1100, "height": 720})

    async def _inspect(self, page: Any, state: str) -> None:
        await page.evaluate(AXE.read_text())
        found = await page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
        wrong = [
            f"{one['impact']}: {one['id']} {one['nodes'][0]['html'][:120]}" for one in found["violations"]
        ]
        wide = await page.evaluate("() => document.documentElement.scrollWidth > innerWidth")
        self.faults[state] = [*wrong, *(["wider than the window"] if wide else [])]

    def nothing(self) -> None:
        assert {state: faults for state, faults in self.faults.items() if faults} == {}


@pytest.fixture
async def looked() -> AsyncIterator[AxeResults]:
    looked = AxeResults()
    yield looked
    looked.nothing()
    assert looked.faults, "nothing was looked at"


@asynccontextmanager
async def unheard(microphone: Path | None) -> AsyncIterator[Person]:
    """Somebody who has no microphone, or whose browser does not give it away."""
    async with running(microphone, allowed=False) as browser:
        yield Person(await browser.new_page(), 0)


async def test_before_joining(stage: BrowserSetup, looked: AxeResults, tmp_path: Path) -> None:
    ada = await stage.arrive(1000)
    await ada.page.goto(f"{stage.service.url}/join/sales")
    await looked.at(ada, "without-invitation")
    await ada.open(await stage.link())
    await ada.page.get_by_role("textbox", name="Your name").fill("Ada")
    await looked.at(ada, "lobby")
    await ada.check_microphone()
    await looked.at(ada, "microphone-checked")
    for microphone, state, words in (
        (None, "microphone-missing", "No microphone found"),
        (tone(tmp_path / "bob.wav", 1400), "microphone-refused", "blocked"),
    ):
        async with unheard(microphone) as bob:
            await bob.open(await stage.link())
            await bob.button("Check microphone").click()
            await expect(bob.page.locator("#microphone-problem")).to_contain_text(words, timeout=PATIENCE)
            await looked.at(bob, state)


async def test_in_the_room(stage: BrowserSetup, looked: AxeResults) -> None:
    phone = await stage.phone()
    bob = await stage.person(1400, "Bob")
    ada = await stage.person(1000, "Ada", scopes=["dial", "hangup"])
    await ada.hears(phone.tone, 1400)
    await looked.at(ada, "in-the-room")
    await ada.page.get_by_role("textbox", name="Phone number").fill(CALLEE)
    stage.simulator.numbers[CALLEE] = "ring"
    await ada.button("Call").click()
    await expect(ada.page.get_by_text("Calling…").first).to_be_visible(timeout=PATIENCE)
    await ada.button("Keypad").click()
    await ada.button("Mute").click()
    await looked.at(ada, "calling-muted-keypad")
    await ada.page.get_by_role("button", name="Hang up Phone ending in 21").last.click()
    await ada.page.context.set_offline(True)
    stage.simulator.media.forget(await ada.own_id())
    await expect(ada.page.locator("#link")).to_contain_text("Connection lost", timeout=30_000)
    await looked.at(ada, "connection-lost")
    await ada.page.context.set_offline(False)
    await expect(ada.page.locator("#link")).to_contain_text("Connected", timeout=45_000)
    await ada.leave()
    await looked.at(ada, "left")
    await phone.hang_up()
    await bob.leave()


async def test_at_the_end(stage: BrowserSetup, looked: AxeResults) -> None:
    link = await stage.link()
    ada, bob = await stage.arrive(1000), await stage.arrive(1400)
    await ada.open(link)
    await bob.open(link)
    await ada.check_microphone()
    await ada.button("Join").click()
    await ada.is_in()
    # Both have seen the page; the invitation is the one's who did something first.
    await bob.button("Join to listen only").click()
    await expect(bob.heading("This invitation has been used")).to_be_visible(timeout=PATIENCE)
    await looked.at(bob, "invitation-used")
    await stage.operator.send("DELETE", f"/rooms/sales/participants/{await ada.own_id()}")
    await expect(ada.heading("You are no longer in the room")).to_be_visible(timeout=30_000)
    await looked.at(ada, "removed")
    await ada.join(await stage.link(), "Ada")
    assert (await stage.operator.send("DELETE", "/rooms/sales")).status_code == 202
    await expect(ada.heading("The room has been closed")).to_be_visible(timeout=30_000)
    await looked.at(ada, "room-closed")
