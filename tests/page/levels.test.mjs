import assert from "node:assert/strict";
import { test } from "node:test";

import { level, levelWords } from "../../handlers/page/src/levels.js";
import { constraints } from "../../handlers/page/src/microphone.js";

test("silence is 0, speech is in the middle, and full scale is 1", () => {
  const tone = (amplitude) => Float32Array.from({ length: 1024 }, (_, i) => amplitude * Math.sin(i / 3));
  assert.equal(level(tone(0)), 0);
  assert.equal(level([]), 0);
  assert.equal(level(tone(1)), 1);
  assert.ok(level(tone(0.05)) > 0.4 && level(tone(0.05)) < 0.7);
  assert.deepEqual([0, 0.4, 0.9].map(levelWords), ["silent", "quiet", "loud"]);
});

test("the original sound is what the microphone gives", () => {
  const { audio } = constraints("", true);
  assert.deepEqual(audio, { echoCancellation: false, noiseSuppression: false, autoGainControl: false });
  assert.deepEqual(constraints("m2", false).audio, {
    deviceId: { exact: "m2" },
    echoCancellation: true,
    noiseSuppression: true,
    autoGainControl: true,
  });
});
