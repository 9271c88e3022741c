/** Phone numbers: what people type, and how masked ones are shown and read out. Pure. */

import { isEmergency } from "./emergency_numbers.js";
import { EMERGENCY } from "./messages.js";

/**
 * What was typed, as E.164, or what is wrong with it. Which numbers may be called is the service's business.
 *
 * @param {string} typed
 * @returns {{number: string} | {wrong: string}}
 */
export function readNumber(typed) {
  // Before anything about its shape: who needs help is not to be taught how numbers are written.
  if (isEmergency(typed)) return { wrong: EMERGENCY };
  const bare = typed.trim().replace(/[\s().\-/\u2010-\u2015]/g, "");
  if (!bare) return { wrong: "Enter a phone number." };
  if (/[^\d+]/.test(bare)) return { wrong: "A phone number has only digits, after a plus sign." };
  if (!bare.startsWith("+")) {
    return { wrong: "Begin with a plus sign and the country code, such as +1 for the USA and Canada." };
  }
  if (!/^\+[1-9]\d*$/.test(bare)) return { wrong: "After the plus sign comes a country code, such as +1 or +44." };
  if (bare.length < 8) return { wrong: "The number is too short." };
  if (bare.length > 16) return { wrong: "The number is too long: 15 digits are the most." };
  return { number: bare };
}

/**
 * `+1********21` as `+1 •••• 21`; words such as `Anonymous` stay.
 *
 * @param {string | null | undefined} masked
 */
export function shownNumber(masked) {
  if (!masked) return "Unknown number";
  const parts = /^([^*]*)\*+([^*]*)$/.exec(masked);
  return parts ? `${parts[1]} •••• ${parts[2]}`.trim() : masked;
}

/**
 * For names of controls and for announcements.
 *
 * @param {string | null | undefined} masked
 */
export function spokenNumber(masked) {
  const end = /\*(\d+)$/.exec(masked ?? "");
  if (end) return `Phone ending in ${end[1]}`;
  return masked && !masked.includes("*") ? `Phone ${masked}` : "Phone";
}
