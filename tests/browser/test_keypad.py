"""Keys of the page's keypad: all of them arrive in order, and none is shown as sent that was not."""

import pytest
from playwright.async_api import expect

from tests.browser.people import PATIENCE, BrowserSetup, Person
from tests.waiting import wait_until

# Keeps what the page has of its microphone and of its connections where a test finds it.
HOOK = """
const of = (kind, name, keep) => {
  const before = kind[name];
  kind[name] = function (...words) {
    const made = before.apply(this, words);
    Promise.resolve(made).then(keep);
    return made;
  };
};
globalThis.microphones = [];
globalThis.senders = [];
of(navigator.mediaDevices, "getUserMedia", (stream) => microphones.push(...stream.getAudioTracks()));
of(RTCPeerConnection.prototype, "addTransceiver", ({ sender }) => senders.push(sender));
"""
# A browser does it when a microphone is unplugged; a script that stops a track is not told.
UNPLUG = """() => {
  for (const { track } of senders) track?.stop();
  for (const one of microphones) {
    one.stop();
    one.dispatchEvent(new Event("ended"));
  }
}"""
STOP = "() => senders.forEach(({ track }) => track?.stop())"
SILENCE = """() => Promise.all(senders.map((sender) => {
  const all = sender.getParameters();
  for (const one of all.encodings) one.active = false;
  return sender.setParameters(all);
}))"""


async def at_the_keypad(stage: BrowserSetup) -> Person:
    ada = await stage.arrive(1000)
    await ada.page.add_init_script(HOOK)
    await ada.join(await stage.link(), "Ada")
    await ada.button("Keypad").click()
    await ada.button("1").focus()
    return ada


async def received(stage: BrowserSetup, ada: Person, keys: str) -> None:
    media, who = stage.simulator.media, await ada.own_id()
    await wait_until(lambda: media.digits(who) == keys, seconds=15, what=lambda: media.digits(who))


@pytest.mark.parametrize("pause", [0, 120])
async def test_keys_are_typed_fast(stage: BrowserSetup, pause: int) -> None:
    """A card's number, a PIN: by whoever knows it by heart."""
    ada = await at_the_keypad(stage)
    await ada.page.keyboard.type("1234567890#", delay=pause)
    await expect(ada.page.locator("#sent")).to_have_text("1234567890#", timeout=PATIENCE)
    await received(stage, ada, "1234567890#")
    await ada.leave()


async def test_one_key_several_times_and_muted(stage: BrowserSetup) -> None:
    ada = await at_the_keypad(stage)
    await ada.page.keyboard.type("1")
    # The second time the browser says that the key is held.
    await ada.page.keyboard.down("1")
    await ada.page.keyboard.down("1")
    await ada.page.keyboard.up("1")
    await expect(ada.page.locator("#sent")).to_have_text("11", timeout=PATIENCE)
    await ada.button("Mute").click()
    for name in ("Star", "Star", "Pound"):
        await ada.button(name).click()
    await expect(ada.page.locator("#sent")).to_have_text("11**#", timeout=PATIENCE)
    await received(stage, ada, "11**#")
    await ada.leave()


async def test_the_microphone_is_gone_and_another_one_comes(stage: BrowserSetup) -> None:
    ada = await at_the_keypad(stage)
    await ada.page.evaluate(UNPLUG)
    await expect(ada.page.locator("#room-problem")).to_contain_text("Your microphone is gone")
    await ada.page.keyboard.type("5")
    await expect(ada.page.locator("#sent")).to_contain_text("Tones need a microphone", timeout=PATIENCE)
    await ada.button("Start talking").click()
    await expect(ada.button("Mute")).to_be_visible(timeout=PATIENCE)
    await ada.button("6").click()
    await expect(ada.page.locator("#sent")).to_have_text("6", timeout=PATIENCE)
    await received(stage, ada, "6")
    await ada.leave()


@pytest.mark.parametrize("fault", [STOP, SILENCE], ids=["the track has ended", "nothing is sent"])
async def test_keys_that_go_nowhere_are_not_shown_as_sent(stage: BrowserSetup, fault: str) -> None:
    """Nobody has told the page that something is wrong, and the browser takes tones."""
    ada = await at_the_keypad(stage)
    await ada.page.keyboard.type("4")
    await expect(ada.page.locator("#sent")).to_have_text("4", timeout=PATIENCE)
    await ada.page.evaluate(fault)
    assert await ada.page.evaluate("() => senders.some(({ dtmf }) => dtmf?.canInsertDTMF)")
    await ada.page.keyboard.type("56")
    await expect(ada.page.locator("#sent")).to_contain_text("The key was not sent", timeout=PATIENCE)
    await received(stage, ada, "4")
    await ada.leave()
