import assert from "node:assert/strict";
import { test } from "node:test";

import { LOBBY, next } from "../../handlers/page/src/page_state.js";

const play = (...happenings) => happenings.reduce(next, LOBBY);
const up = { name: "room", link: "up", trouble: false, dropped: false };
const over = (why) => ({ name: "over", why });

test("in, and out again", () => {
  assert.deepEqual(play("join"), { name: "joining" });
  assert.deepEqual(play("join", "joined"), up);
  assert.deepEqual(play("join", "joined", "leave"), over("left"));
  assert.deepEqual(play("join", "joined", "leave", "join"), { name: "joining" });
  assert.deepEqual(play("join", "joined", "leave", "back"), LOBBY);
});

test("joining fails, is cancelled, or is refused for good", () => {
  assert.deepEqual(play("join", "join-failed"), LOBBY);
  assert.deepEqual(play("join", "cancelled"), LOBBY);
  assert.deepEqual(play("join", "refused"), over("refused"));
  assert.deepEqual(play("refused"), over("refused"));
});

test("a seat that is lost after trouble is taken anew", () => {
  for (const trouble of ["offline", "beat-failed", "dropped"]) {
    assert.equal(play("join", "joined", trouble, "gone").link, "rejoining", trouble);
  }
  assert.deepEqual(play("join", "joined", "offline", "gone", "rejoined"), up);
});

test("while its socket is away the page expects to lose its seat, though the service answers", () => {
  assert.equal(play("join", "joined", "dropped", "beat", "gone").link, "rejoining");
  assert.equal(play("join", "joined", "offline", "dropped", "beat", "beat", "gone").link, "rejoining");
  assert.equal(play("join", "joined", "dropped", "connected", "gone").link, "rejoining", "not known of since");
});

test("a seat that is lost out of the blue was taken away", () => {
  assert.deepEqual(play("join", "joined", "gone"), over("removed"));
  assert.deepEqual(play("join", "joined", "beat", "gone"), over("removed"));
  assert.deepEqual(play("join", "joined", "offline", "beat", "gone"), over("removed"), "the trouble was over");
  assert.deepEqual(play("join", "joined", "dropped", "connected", "beat", "gone"), over("removed"), "the same");
});

test("a lost link comes back by itself while the seat holds", () => {
  assert.equal(play("join", "joined", "beat-failed").link, "lost");
  assert.equal(play("join", "joined", "offline").link, "lost");
  assert.deepEqual(play("join", "joined", "beat-failed", "beat"), up);
  assert.deepEqual(play("join", "joined", "dropped").link, "up", "the SDK opens its socket again: nobody is alarmed");
});

test("media that is lost wants a new seat, whatever the heartbeat says", () => {
  const rejoining = play("join", "joined", "media-lost");
  assert.equal(rejoining.link, "rejoining");
  for (const late of ["beat", "beat-failed", "offline", "gone", "media-lost"]) {
    assert.equal(next(rejoining, late), rejoining, late);
  }
  assert.deepEqual(next(rejoining, "refused"), over("refused"));
  assert.deepEqual(next(rejoining, "leave"), over("left"));
});

test("a closed room is left", () => assert.deepEqual(play("join", "joined", "closed"), over("closed")));

test("what does not fit changes nothing", () => {
  const ended = play("join", "joined", "leave");
  for (const late of ["joined", "rejoined", "beat", "gone", "media-lost", "closed", "leave", "cancelled"]) {
    assert.equal(next(ended, late), ended, late);
    assert.equal(next(LOBBY, late), LOBBY, late);
  }
  const room = play("join", "joined");
  for (const odd of ["beat", "connected", "join", "joined", "back", "cancelled", "join-failed"]) {
    assert.equal(next(room, odd), room, odd);
  }
});
