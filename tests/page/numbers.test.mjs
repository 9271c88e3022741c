import assert from "node:assert/strict";
import { test } from "node:test";

import { readNumber, shownNumber, spokenNumber } from "../../handlers/page/src/numbers.js";

test("numbers as people write them", () => {
  for (const typed of ["+15557654321", " +1 (555) 765-4321 ", "+1.555.765.4321", "+1 555\u2011765\u20134321"]) {
    assert.deepEqual(readNumber(typed), { number: "+15557654321" }, typed);
  }
});

test("what is no number is told why", () => {
  const wrong = {
    "": /Enter/,
    "5557654321": /plus sign/,
    "+1555CALLNOW": /only digits/,
    "+05557654321": /country code/,
    "+1+5557654321": /country code/,
    "+1555": /too short/,
    "+1234567890123456": /too long/,
  };
  for (const [typed, why] of Object.entries(wrong)) assert.match(readNumber(typed).wrong ?? "", why, typed);
});

test("masked numbers, for eyes and for ears", () => {
  assert.equal(shownNumber("+1********21"), "+1 •••• 21");
  assert.equal(shownNumber("Anonymous"), "Anonymous");
  assert.equal(shownNumber("*****"), "••••");
  assert.equal(shownNumber(null), "Unknown number");
  assert.equal(spokenNumber("+1********21"), "Phone ending in 21");
  assert.equal(spokenNumber("Anonymous"), "Phone Anonymous");
  assert.equal(spokenNumber("*****"), "Phone");
  assert.equal(spokenNumber(undefined), "Phone");
});
