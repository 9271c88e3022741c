import assert from "node:assert/strict";
import { test } from "node:test";

import { playTone, ToneQueue } from "../../handlers/page/src/tones.js";

/** A queue whose keys are played when the test says so. */
function keypad() {
  const told = [];
  const playing = [];
  const queue = new ToneQueue(
    (tone) => new Promise((resolve) => playing.push({ tone, over: resolve })),
    (tone, unsent) => told.push(unsent === null ? tone : `${tone}: ${unsent}`),
  );
  const over = async (unsent = null) => {
    playing.shift().over(unsent);
    await new Promise(setImmediate);
  };
  return { queue, told, over, now: () => playing.map(({ tone }) => tone).join("") };
}

test("a key waits for the end of the one before, and is told when it has been played", async () => {
  const { queue, told, over, now } = keypad();
  for (const key of "112#") queue.press(key);
  assert.equal(now(), "1");
  assert.deepEqual(told, []);
  for (const after of ["1", "2", "#", ""]) {
    await over();
    assert.equal(now(), after);
  }
  assert.deepEqual(told, ["1", "1", "2", "#"]);
  queue.press("3");
  assert.equal(now(), "3", "it begins anew");
});

test("after a key that was not sent those that wait are dropped, and later ones are tried", async () => {
  const { queue, told, over, now } = keypad();
  for (const key of "123") queue.press(key);
  await over();
  await over("silent");
  assert.equal(now(), "");
  assert.deepEqual(told, ["1", "2: silent"]);
  queue.press("4");
  await over();
  assert.deepEqual(told, ["1", "2: silent", "4"]);
});

test("what is cleared is told to nobody", async () => {
  const { queue, told, over, now } = keypad();
  for (const key of "12") queue.press(key);
  queue.clear();
  queue.press("3");
  assert.equal(now(), "13");
  await over();
  await over();
  assert.deepEqual(told, ["3"]);
  assert.equal(now(), "");
});

/** An RTCRtpSender as far as it is used: `packets` go out while a tone plays. */
function sender({ packets = 9, able = true, refuses = false } = {}) {
  const dtmf = new EventTarget();
  let sent = 100;
  dtmf.canInsertDTMF = able;
  dtmf.insertDTMF = (tone) => {
    if (refuses) throw new DOMException("not able", "InvalidStateError");
    for (const one of [tone, ""]) {
      setImmediate(() => {
        if (one === "") sent += packets;
        dtmf.dispatchEvent(Object.assign(new Event("tonechange"), { tone: one }));
      });
    }
  };
  const stats = () => [
    { type: "codec" },
    { type: "outbound-rtp", packetsSent: sent },
  ];
  return { dtmf, getStats: async () => new Map(stats().map((one, index) => [index, one])) };
}

test("a tone has gone out when packets have", async () => {
  assert.equal(await playTone(sender(), "5"), null);
  assert.equal(await playTone(sender({ packets: 0 }), "5"), "silent");
});

test("a sender that takes no tones", async () => {
  assert.equal(await playTone(sender({ able: false }), "5"), "refused");
  assert.equal(await playTone(sender({ refuses: true }), "5"), "refused");
  assert.equal(await playTone({ dtmf: null }, "5"), "refused");
});

test("a tone that never ends", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const one = sender();
  one.dtmf.insertDTMF = () => setImmediate(() => context.mock.timers.tick(3000));
  assert.equal(await playTone(one, "5"), "silent");
});
