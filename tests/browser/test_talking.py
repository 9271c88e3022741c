"""People at the page talk with phones: heard both ways, in a real browser, through the official SDK."""

import asyncio

from playwright.async_api import expect

from tests.browser.people import PATIENCE, BrowserSetup
from tests.harness import CALLEE


async def test_a_person_and_a_caller(stage: BrowserSetup) -> None:
    phone = await stage.phone()
    ada = await stage.person(1000, "Ada")
    assert list(await ada.hears(phone.tone)) == [phone.participant_id]
    await stage.phone_hears(phone, 1000)
    await expect(ada.row(phone.participant_id)).to_contain_text("••••", timeout=PATIENCE)
    assert phone.call.from_ not in await ada.page.content(), "its number is shown in full"

    await ada.page.keyboard.press("m")
    await expect(ada.button("Unmute")).to_be_visible(timeout=PATIENCE)
    await stage.phone_hears(phone)
    await ada.button("Unmute").click()
    await stage.phone_hears(phone, 1000)

    await ada.leave()
    await stage.phone_hears(phone)
    await phone.hang_up()
    assert ada.problems == []


async def test_two_and_two(stage: BrowserSetup) -> None:
    """Each hears the other three, and only who is unsubscribed falls silent."""
    one, other = await stage.phone(), await stage.phone()
    ada, bob = await asyncio.gather(stage.person(1000, "Ada"), stage.person(1400, "Bob"))
    tones = (one.tone, other.tone)
    await ada.hears(*tones, 1400)
    await bob.hears(*tones, 1000)
    await stage.phone_hears(one, other.tone, 1000, 1400)
    await stage.phone_hears(other, one.tone, 1000, 1400)

    path = f"/rooms/sales/participants/{await ada.own_id()}/subscriptions"
    hears = [one.participant_id, await bob.own_id()]
    assert (await stage.operator.send("PUT", path, {"hears": hears})).status_code == 202
    await ada.hears(one.tone, 1400)
    await bob.hears(*tones, 1000)
    assert (await stage.operator.send("PUT", path, {"hears": "everyone"})).status_code == 202
    await ada.hears(*tones, 1400)

    await bob.leave()
    await ada.hears(*tones)
    for phone in (one, other):
        await phone.hang_up()
    await ada.hears()
    await ada.leave()


async def test_a_call_from_the_page(stage: BrowserSetup) -> None:
    ada = await stage.person(1000, "Ada", scopes=["dial", "hangup"])
    await ada.page.get_by_role("textbox", name="Phone number").fill(CALLEE)
    await ada.button("Call").click()
    phone = await stage.simulator.called(CALLEE)
    await phone.until("bridged", timeout=10)
    await ada.hears(phone.tone)
    await stage.phone_hears(phone, 1000)
    await expect(ada.page.get_by_role("button", name="Hang up Phone ending in 21")).to_be_visible()
    await ada.page.get_by_role("button", name="Hang up Phone ending in 21").click()
    await phone.until("ended", timeout=10)
    await ada.hears()

    await ada.page.get_by_role("textbox", name="Phone number").fill("+19005550123")
    await ada.button("Call").click()
    await expect(ada.page.locator("#number-wrong")).to_contain_text("Premium-rate", timeout=PATIENCE)
    await ada.leave()


async def test_without_the_scopes_there_is_nothing_to_call_with(stage: BrowserSetup) -> None:
    phone = await stage.phone()
    ada = await stage.person(1000, "Ada")
    await ada.hears(phone.tone)
    await expect(ada.button("Call")).to_be_hidden()
    await expect(ada.page.get_by_role("button", name="Hang up")).to_have_count(0)
    await phone.hang_up()
    await ada.leave()


async def test_a_phone_goes_to_another_room(stage: BrowserSetup) -> None:
    phone = await stage.phone()
    ada = await stage.person(1000, "Ada")
    await ada.hears(phone.tone)
    await stage.operator.order(phone.call_id, "join", room="support")
    await ada.hears()
    await expect(ada.page.locator("#people li")).to_have_count(1, timeout=PATIENCE)
    bob = await stage.person(1400, "Bob", room="support")
    await bob.hears(phone.tone)
    await stage.phone_hears(phone, 1400)
    await phone.hang_up()
    await asyncio.gather(ada.leave(), bob.leave())
