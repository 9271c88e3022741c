import assert from "node:assert/strict";
import { test } from "node:test";

import { SHOW_ENDED_MS, EMPTY_ROOM, reduce, rows } from "../../handlers/page/src/room_state.js";

const ana = { participantId: "b1", kind: "browser", call: null, name: "Ana", state: "in" };
const phone = { participantId: "ph1", kind: "phone", call: "p01-a", name: null, state: "in" };
const call = {
  id: "p01-a",
  room: "sales",
  state: "bridged",
  direction: "inbound",
  from: "+1********21",
  to: "+1********67",
  participantId: "ph1",
  outcome: null,
};
const empty = { type: "snapshot", data: { room: "sales", participants: [], calls: [] } };
const participant = (data) => ({ type: "participant", data });
const told = (data) => ({ type: "call", data });
const play = (...news) => news.reduce((live, one) => reduce(live, one, "sales", 0), EMPTY_ROOM);
const keys = (live, now = 0, self = "b1") => rows(live, self, now).map((row) => row.key);

test("a snapshot is all that there is", () => {
  assert.equal(EMPTY_ROOM.known, false);
  const live = play(participant(phone), { type: "snapshot", data: { participants: [ana], calls: [] } });
  assert.equal(live.known, true);
  assert.deepEqual(keys(live), ["b1"]);
});

test("a mark says nothing about the room", () => {
  const live = play(empty);
  assert.equal(reduce(live, { type: "mark", data: { begins: false } }, "sales", 0), live);
});

test("people come and go, the same news twice changes nothing more, and you come first", () => {
  const live = play(empty, told(call), participant(phone), participant(ana), participant(ana));
  assert.deepEqual(keys(live), ["b1", "p01-a"]);
  const [self, other] = rows(live, "b1", 0);
  assert.deepEqual([self.self, self.name, other.self, other.number], [true, "Ana", false, "+1********21"]);
  const left = reduce(live, participant({ ...ana, state: "left" }), "sales", 0);
  assert.deepEqual(keys(left), ["p01-a"]);
  assert.equal(reduce(left, participant({ ...ana, state: "left" }), "sales", 0), left);
});

test("a phone is one row from its dialing to a while after its end", () => {
  const out = { ...call, direction: "outbound", state: "dialing", participantId: null };
  let live = play(empty, told(out));
  assert.deepEqual(rows(live, "b1", 0).map((row) => [row.key, row.inRoom, row.number]), [["p01-a", false, "+1********67"]]);
  live = reduce(live, told({ ...out, state: "bridged" }), "sales", 0);
  live = reduce(live, participant(phone), "sales", 0);
  assert.deepEqual(rows(live, "b1", 0).map((row) => [row.key, row.inRoom]), [["p01-a", true]]);
  live = reduce(live, told({ ...out, state: "ended" }), "sales", 1000);
  live = reduce(live, participant({ ...phone, state: "left" }), "sales", 1000);
  assert.deepEqual(keys(live, 1000 + SHOW_ENDED_MS - 1), ["p01-a"]);
  assert.deepEqual(keys(live, 1000 + SHOW_ENDED_MS), []);
});

test("who has gone elsewhere is not shown, who is on hold is", () => {
  const inside = play(empty, told(call), participant(phone));
  const away = participant({ ...phone, state: "left" });
  assert.deepEqual(keys(reduce(inside, away, "sales", 0)), []);
  for (const room of ["support", null]) {
    // A visitor is not told where it has gone.
    assert.deepEqual(keys(reduce(inside, told({ ...call, room }), "sales", 0)), ["p01-a"], "still a member");
    const moved = reduce(reduce(inside, told({ ...call, room }), "sales", 0), away, "sales", 0);
    assert.deepEqual(keys(moved), []);
    assert.deepEqual(moved.calls, {}, "nothing is kept of a call that is elsewhere");
  }
  const held = reduce(reduce(inside, told({ ...call, state: "detached" }), "sales", 0), away, "sales", 0);
  assert.deepEqual(keys(held), ["p01-a"]);
  const back = reduce(held, participant({ ...phone, participantId: "ph2" }), "sales", 0);
  assert.deepEqual(rows(back, "b1", 0).map((row) => row.participantId), ["ph2"]);
});

test("a phone that is joined anew has one row, whichever news comes first", () => {
  const live = play(empty, told(call), participant(phone), participant({ ...phone, participantId: "ph2" }));
  assert.deepEqual(keys(live), ["p01-a"]);
  assert.equal(reduce(live, participant({ ...phone, state: "left" }), "sales", 0), live);
});

test("calls that ended long ago are forgotten", () => {
  let live = play(empty, told({ ...call, state: "ended" }));
  live = reduce(live, told({ ...call, id: "p02-b" }), "sales", SHOW_ENDED_MS);
  assert.deepEqual(Object.keys(live.calls), ["p02-b"]);
});

test("a room closes, and may begin anew", () => {
  const closed = play(empty, { type: "room", data: { room: "sales", state: "closed" } });
  assert.equal(closed.closed, true);
  assert.equal(reduce(closed, participant(ana), "sales", 0).closed, false);
});

test("what is not known changes nothing", () => {
  const live = play(empty);
  assert.equal(reduce(live, { type: "weather", data: {} }, "sales", 0), live);
  assert.equal(reduce(live, { type: "reset", data: {} }, "sales", 0), live);
  assert.equal(reduce(live, told({ ...call, room: null }), "sales", 0), live);
});
