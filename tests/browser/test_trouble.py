"""What goes wrong between the page and the others, and how the page comes back or says why it does not."""

import re
from typing import Literal

import pytest
from playwright.async_api import expect

from tests.browser.chromium import running
from tests.browser.people import PATIENCE, BrowserSetup, Person
from tests.waiting import wait_until


async def names(stage: BrowserSetup, room: str = "sales") -> list[str]:
    answer = await stage.operator.send("GET", f"/rooms/{room}")
    members = answer.json()["members"] if answer.is_success else []
    return [one["name"] for one in members if one["kind"] == "browser" and one["state"] == "in"]


async def test_the_socket_is_dropped_and_comes_back(stage: BrowserSetup) -> None:
    """By the SDK itself: the same seat, and the sound goes on."""
    phone = await stage.phone()
    ada = await stage.person(1000, "Ada")
    await ada.hears(phone.tone)
    who, media = await ada.own_id(), stage.simulator.media
    [device] = media.devices
    media.drop(who)
    await wait_until(lambda: not device.connected, seconds=5, what="the socket is still there")
    await wait_until(lambda: bool(media.devices) and media.devices[0].connected, seconds=15, what="no socket")
    # What is changed from now on arrives.
    other = await stage.phone()
    await ada.hears(phone.tone, other.tone)
    await stage.phone_hears(other, phone.tone, 1000)
    assert await ada.own_id() == who
    assert await names(stage) == ["Ada"]
    for one in (phone, other):
        await one.hang_up()
    await ada.leave()


async def test_the_network_is_away_and_comes_back(stage: BrowserSetup) -> None:
    """With a fresh token, in one seat, muted as before."""
    phone = await stage.phone()
    ada = await stage.person(1000, "Ada")
    await ada.hears(phone.tone)
    await ada.button("Mute").click()
    await stage.phone_hears(phone)
    who = await ada.own_id()
    await ada.page.context.set_offline(True)
    stage.simulator.media.forget(who)
    # Which of them it is says what was noticed first: that nothing answers, or that the media are gone.
    lost = re.compile("Connection lost|Joining again")
    await expect(ada.page.locator("#link")).to_contain_text(lost, timeout=30_000)
    await ada.page.context.set_offline(False)

    async def back() -> bool:
        return await ada.own_id() not in {who, "None"} and await names(stage) == ["Ada"]

    await wait_until(back, seconds=45, what="she has not come back, or is there twice")
    await ada.hears(phone.tone)
    await expect(ada.button("Unmute")).to_be_visible()
    await stage.phone_hears(phone)
    await ada.button("Unmute").click()
    await stage.phone_hears(phone, 1000)
    await phone.hang_up()
    await ada.leave()


@pytest.mark.parametrize("side", ["publishing", "subscribing"])
async def test_the_gateway_closes_the_media_in_good_order(
    stage: BrowserSetup, side: Literal["publishing", "subscribing"]
) -> None:
    """The browser's connection stays `connected` until ICE has not been answered for long."""
    phone = await stage.phone()
    ada = await stage.person(1000, "Ada")
    await ada.hears(phone.tone)
    who = await ada.own_id()
    await stage.simulator.media.close_media(who, side)

    async def back() -> bool:
        return await ada.own_id() not in {who, "None"} and await names(stage) == ["Ada"]

    # By ICE alone it takes 13 seconds, and then she has to take her seat.
    await wait_until(back, seconds=11, what="she has not come back, or is there twice")
    await ada.hears(phone.tone)
    await stage.phone_hears(phone, 1000)
    await phone.hang_up()
    await ada.leave()


async def test_an_operator_removes_somebody(stage: BrowserSetup) -> None:
    ada = await stage.person(1000, "Ada")
    assert (
        await stage.operator.send("DELETE", f"/rooms/sales/participants/{await ada.own_id()}")
    ).status_code == 204
    await expect(ada.heading("You are no longer in the room")).to_be_visible(timeout=30_000)
    await ada.button("Join again").click()
    refused = ada.page.get_by_role("alert").filter(has_text="You need an invitation")
    await expect(refused).to_be_visible(timeout=PATIENCE)
    assert await names(stage) == []
    await ada.join(await stage.link(), "Ada")
    assert await names(stage) == ["Ada"]
    await ada.leave()


async def test_a_tab_that_is_closed(stage: BrowserSetup) -> None:
    ada = await stage.person(1000, "Ada")
    await ada.page.close(run_before_unload=True)

    async def gone() -> bool:
        return await names(stage) == []

    await wait_until(gone, seconds=10, what="her seat is kept")


async def test_a_link_that_was_used(stage: BrowserSetup) -> None:
    link = await stage.link()
    ada, bob = await stage.arrive(1000), await stage.arrive(1400)
    await ada.join(link, "Ada")
    await bob.page.goto(link)
    await expect(bob.heading("This invitation has been used")).to_be_visible()
    await ada.leave()


async def test_without_a_microphone_there_is_still_listening(stage: BrowserSetup) -> None:
    phone = await stage.phone()
    async with running(None, allowed=False) as browser:
        ada = Person(await browser.new_page(), 0)
        await ada.open(await stage.link())
        await ada.button("Check microphone").click()
        problem = ada.page.locator("#microphone-problem")
        await expect(problem).to_contain_text("No microphone found", timeout=PATIENCE)
        await ada.button("Join to listen only").click()
        await ada.is_in()
        await ada.hears(phone.tone)
        await stage.phone_hears(phone)
        await ada.leave()
    await phone.hang_up()
