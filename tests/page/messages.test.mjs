import assert from "node:assert/strict";
import { test } from "node:test";

import { callWords, microphoneWords, outcomeWords, problemWords } from "../../handlers/page/src/messages.js";

const call = { id: "p01-a", room: "sales", direction: "outbound", from: null, to: null, participantId: null, outcome: null };

test("a call is told in plain words at each of its states", () => {
  const states = ["dialing", "initiated", "joining", "transferring", "bridged", "detached"];
  assert.deepEqual(states.map((state) => callWords({ ...call, state })), [
    "Calling…",
    "Answered…",
    "Answered, joining…",
    "Connecting the sound…",
    "In the room",
    "On hold",
  ]);
  assert.equal(callWords({ ...call, direction: "inbound", state: "initiated" }), "Calling in…");
  assert.equal(callWords({ ...call, state: "something new" }), "On the line");
});

test("an end has a reason, or at least somebody whose it is", () => {
  assert.equal(callWords({ ...call, state: "ended", outcome: { blame: "callee", reason: "busy" } }), "Busy");
  assert.equal(outcomeWords({ blame: "bandwidth", reason: "something new" }), "The phone network failed");
  assert.equal(outcomeWords({ blame: "somebody", reason: "something new" }), "Ended");
  assert.equal(outcomeWords(null), "Ended");
});

test("a problem says what to do", () => {
  assert.match(problemWords({ kind: "invitation-used" }).text, /new one/);
  assert.match(problemWords({ kind: "dial-rule", rule: "emergency" }).text, /Use a phone/);
  assert.match(problemWords({ kind: "dial-rule", rule: "calls-per-hour", retryAfter: 600 }).text, /10 minutes/);
  assert.match(problemWords({ kind: "rate-limited", retryAfter: 3 }).text, /3 seconds/);
});

test("one that is not known is told in the service's words", () => {
  const words = problemWords({ kind: "brand-new", title: "A title", detail: "wants a comma" });
  assert.deepEqual(words, { title: "A title", text: "Wants a comma." });
  assert.deepEqual(problemWords({ kind: "brand-new" }), { title: "Something went wrong", text: "Try again." });
});

test("each fault of a microphone has words, and browsers' other names for it the same", () => {
  assert.match(microphoneWords("NotAllowedError").title, /blocked/);
  assert.equal(microphoneWords("SecurityError"), microphoneWords("NotAllowedError"));
  assert.equal(microphoneWords("OverconstrainedError"), microphoneWords("NotFoundError"));
  assert.equal(microphoneWords("AbortError"), microphoneWords("NotReadableError"));
  assert.match(microphoneWords("InsecureContext").text, /https/);
  assert.match(microphoneWords("Whatever").title, /does not work/);
});
