import assert from "node:assert/strict";
import { test } from "node:test";

import { delay, pause, TooLong, within } from "../../handlers/page/src/backoff.js";
import { Heartbeat } from "../../handlers/page/src/heartbeat.js";
import { Problem } from "../../handlers/page/src/api_client.js";

test("waits double up to a limit, and are spread", () => {
  assert.deepEqual([0, 1, 2, 3].map((attempt) => delay(attempt, 0)), [500, 1000, 2000, 4000]);
  assert.equal(delay(50, 0), 15_000);
  assert.equal(delay(50, 1), 22_500);
});

test("a pause can be cut short", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const cut = new AbortController();
  const paused = pause(60_000, cut.signal);
  cut.abort();
  await paused;
  await pause(60_000, cut.signal);
});

test("what takes too long is given up", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const late = within(new Promise(() => {}), 10_000);
  context.mock.timers.tick(10_000);
  await assert.rejects(late, TooLong);
  assert.equal(await within(Promise.resolve(5), 10_000), 5);
});

test("a heart beats at once, then every ten seconds, and sooner after a miss", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  context.mock.method(Math, "random", () => 0);
  const answers = [null, new Problem({ kind: "unreachable", status: 0 }), null, null];
  const told = [];
  let beats = 0;
  const heart = new Heartbeat(
    () => (answers[beats++] ? Promise.reject(answers[beats - 1]) : Promise.resolve()),
    (problem) => told.push(problem?.kind ?? "ok"),
  );
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  await settle();
  assert.deepEqual([beats, told], [1, ["ok"]]);
  context.mock.timers.tick(9_999);
  assert.equal(beats, 1);
  context.mock.timers.tick(1);
  await settle();
  assert.deepEqual([beats, told, heart.silence], [2, ["ok", "unreachable"], 10_000]);
  context.mock.timers.tick(500);
  await settle();
  assert.deepEqual([beats, told.at(-1), heart.silence], [3, "ok", 0]);
  heart.now();
  await settle();
  assert.equal(beats, 4);
  heart.stop();
  heart.now();
  context.mock.timers.tick(60_000);
  assert.equal(beats, 4);
});
