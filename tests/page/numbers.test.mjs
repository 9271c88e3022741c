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

test("emergency numbers are told as such before anything about their shape", () => {
  for (const typed of ["911", "9-1-1", " 9 1 1 ", "+1911", "+1 911", "1911", "1-911", "112", "+44 999", "0044999", "000", "call 112!"]) {
    assert.match(readNumber(typed).wrong ?? "", /Emergency/, typed);
  }
  for (const typed of ["", "+12", "12", "5557654321", "+1555", "7112"]) {
    assert.doesNotMatch(readNumber(typed).wrong ?? "", /Emergency/, typed);
  }
  assert.deepEqual(readNumber("+19115550100"), { number: "+19115550100" }, "the service tells");
  assert.deepEqual(readNumber("+19195550100"), { number: "+19195550100" });
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
