import assert from "node:assert/strict";
import { test } from "node:test";

import { RoomSession } from "../../handlers/page/src/room_session.js";
import { Problem } from "../../handlers/page/src/api_client.js";

const GONE = new Problem({ kind: "seat-gone", status: 410 });
/** Milliseconds, longer than the page waits for the news that the room was closed. */
const LATER = 1200;

/** In the room, on seat-1; what the service says to a heartbeat is held back until the test gives it. */
async function inTheRoom(t) {
  const beats = [];
  const gateways = [];
  let seats = 0;
  let held = Promise.resolve();
  const taking = { hold: () => ({ give: (held = gate()).open }) };
  const server = {
    takeSeat: async () => {
      await held;
      return { participantId: `seat-${(seats += 1)}`, token: "", expiresAt: null, deviceUrl: "" };
    },
    beat: (seat) => new Promise((resolve, reject) => beats.push({ seat, resolve, reject })),
    leave: async () => {},
  };
  const microphone = { copy: () => null, open: false, muted: false };
  const open = (listener) => {
    const gateway = { listener, connect: async () => {}, close: () => (gateway.closed = true), setMicrophone: () => {} };
    gateways.push(gateway);
    return gateway;
  };
  const listener = { onState: () => {}, onStep: () => {} };
  const talk = new RoomSession(server, microphone, { add() {}, remove() {}, clear() {} }, open, listener);
  t.after(() => talk.leave());
  await talk.join("Ada");
  assert.deepEqual(
    beats.map(({ seat }) => seat),
    ["seat-1"],
  );
  return { talk, beats, gateways, taking };
}

/** A promise that is kept by its own `open`. */
function gate() {
  let open;
  const promise = new Promise((resolve) => (open = resolve));
  return Object.assign(promise, { open });
}

const later = () => new Promise((resolve) => setTimeout(resolve, LATER));

for (const [what, answer] of Object.entries({
  "said to be gone": ({ reject }) => reject(GONE),
  "said to be kept": ({ resolve }) => resolve(),
})) {
  test(`an old seat, ${what} when there is a new one, changes nothing`, async (t) => {
    const { talk, beats, gateways } = await inTheRoom(t);
    gateways[0].listener.onLost();
    gateways[0].listener.onMediaClosed();
    await later();
    assert.deepEqual(
      beats.map(({ seat }) => seat),
      ["seat-1", "seat-1", "seat-2"],
    );
    answer(beats[1]);
    beats[2].resolve();
    await later();
    assert.deepEqual(talk.state, { name: "room", link: "up", trouble: false, dropped: false });
    assert.equal(gateways[1].closed, undefined);
    talk.look();
    assert.equal(beats.at(-1).seat, "seat-2");
    assert.equal(beats.length, 4);
  });
}

test("an old seat, said to be gone just before there is a new one, ends nobody", async (t) => {
  const { talk, beats, gateways, taking } = await inTheRoom(t);
  const seat = taking.hold();
  gateways[0].listener.onLost();
  gateways[0].listener.onMediaClosed();
  beats[1].reject(GONE);
  await new Promise(setImmediate);
  seat.give();
  await later();
  assert.equal(talk.participantId, "seat-2");
  assert.deepEqual(talk.state, { name: "room", link: "up", trouble: false, dropped: false });
});

test("media that closes and a seat that is kept: a new seat; a seat that is gone: out", async (t) => {
  const { talk, beats, gateways } = await inTheRoom(t);
  gateways[0].listener.onMediaClosed();
  beats[1].resolve();
  await later();
  assert.equal(talk.participantId, "seat-2");
  gateways[1].listener.onMediaClosed();
  beats.at(-1).reject(GONE);
  await later();
  assert.deepEqual(talk.state, { name: "over", why: "removed" });
});
