/**
 * What the page says: about calls, problems, the microphone and endings. Pure, and the only place with such words.
 *
 * @typedef {import("./room_state.js").Call} Call
 * @typedef {{kind: string, title?: string, detail?: string, rule?: string, retryAfter?: number | null}} ShownProblem
 *   A problem (RFC 9457) as it was answered; `retryAfter` in seconds.
 * @typedef {{title: string, text: string}} Message
 */

/** @type {Record<string, string>} the reasons for which calls end, as the service names them */
const OUTCOMES = {
  completed: "Hung up",
  abandoned: "Hung up before the call was joined",
  cancelled: "Cancelled",
  busy: "Busy",
  "no-answer": "No answer",
  rejected: "Call declined",
  "answering-machine": "An answering machine picked up",
  "left-alone": "Ended: nobody else was in the room",
  "nobody-came": "Ended: nobody came into the room",
  "room-full": "Ended: the room is full",
  "room-closed": "Ended: the room was closed",
  "time-limit": "Ended: its time was up",
  "hold-limit": "Ended: it was on hold for too long",
  "page-gone": "Ended: nobody was left on this page",
  closed: "Not taken: no new calls at the moment",
  "wrong-pin": "Ended: wrong code",
  "pin-guessing": "Too many wrong codes from this number",
  "rate-limited": "Too many calls at once, try again shortly",
  "calls-at-once": "Too many calls at once, try again shortly",
  "account-limit": "Too many calls at once, try again shortly",
  capacity: "The phone network is busy, try again shortly",
  "never-heard-of": "The phone network did not take the call",
  vanished: "The phone network lost the call",
  "participant-vanished": "The connection into the room was lost",
  "transfer-failed": "The sound could not be connected",
  "bandwidth-error": "The phone network failed",
  "bandwidth-timeout": "The phone network did not answer",
  error: "The phone network failed",
  unknown: "Ended, the phone network does not say why",
  "unlisted-cause": "Ended, the phone network does not say why",
};

/** @type {Record<string, string>} where the reason is none of ours to explain */
const BLAMED = {
  nobody: "Ended",
  caller: "Ended by the caller",
  callee: "Not taken",
  limit: "Ended: a limit was reached",
  service: "This service could not connect the call",
  bandwidth: "The phone network failed",
};

/** @type {Record<string, string>} of calls that we place */
const OUTWARD = { dialing: "Calling…", ringing: "Ringing…", initiated: "Answered…", joining: "Answered, joining…" };

/** @type {Record<string, string>} */
const STATES = {
  dialing: "Calling…",
  ringing: "Ringing…",
  initiated: "Calling in…",
  joining: "Joining…",
  transferring: "Connecting the sound…",
  bridged: "In the room",
  detached: "On hold",
};

/** @param {Call} call */
export function callWords(call) {
  if (call.state === "ended") return outcomeWords(call.outcome);
  return (call.direction === "outbound" ? OUTWARD[call.state] : null) ?? STATES[call.state] ?? "On the line";
}

/** @param {{blame: string, reason: string} | null | undefined} outcome */
export function outcomeWords(outcome) {
  if (!outcome) return "Ended";
  return OUTCOMES[outcome.reason] ?? BLAMED[outcome.blame] ?? "Ended";
}

export const EMERGENCY = "Emergency numbers cannot be called from here. Use a phone.";

/** @type {Record<string, string>} rules by which a number is not called */
const RULES = {
  emergency: EMERGENCY,
  premium: "Premium-rate numbers cannot be called from here.",
  "own-number": "That number leads back to this service.",
  prefix: "Numbers in that country or area cannot be called from here.",
  invalid: "There is no such phone number. Check the digits.",
  "calls-at-once": "Too many calls are up.",
  "calls-per-hour": "The limit of calls for this hour has been reached.",
};

/** @type {Record<string, Message>} */
const PROBLEMS = {
  "invitation-expired": {
    title: "This invitation has run out",
    text: "Invitations hold for a short time only. Ask whoever sent it for a new one.",
  },
  "invitation-used": {
    title: "This invitation has been used",
    text: "Each invitation opens the room once, in one browser. Ask whoever sent it for a new one.",
  },
  "invitation-forged": {
    title: "This invitation is not valid",
    text: "Perhaps the link was cut off. Open it again as it was sent, or ask for a new one.",
  },
  "invitation-needed": {
    title: "You need an invitation",
    text: "Your admission has run out. Ask whoever invited you for a new link.",
  },
  forbidden: { title: "You may not do this", text: "Your invitation does not allow it. Ask whoever invited you." },
  "not-found": { title: "There is nothing here", text: "It is gone, or the room has been closed." },
  "room-full": { title: "The room is full", text: "Somebody has to leave before you can join." },
  "room-closed": { title: "The room has been closed", text: "Ask whoever invited you whether it opens again." },
  "rate-limited": { title: "Too much at once", text: "The phone network asks for a pause. Try again shortly." },
  refused: { title: "That does not work now", text: "The call has moved on meanwhile. Try again." },
  gone: { title: "You are no longer in the room", text: "Join again to go on." },
  invalid: { title: "That was not understood", text: "Check what you have entered, and try again." },
  overloaded: { title: "Too much is going on", text: "The service is very busy. Try again in a moment." },
  "store-unavailable": { title: "The service is not available", text: "It should be back soon. Try again." },
  "not-configured": { title: "This is not set up", text: "Whoever runs this service has to set it up first." },
  "bandwidth-error": { title: "The network has failed", text: "The audio network gave an error. Try again." },
  "bandwidth-timeout": { title: "The network is slow", text: "The audio network did not answer. Try again." },
  "request-refused": { title: "The network has refused", text: "The audio network did not take the request." },
  "credentials-refused": {
    title: "The network has refused",
    text: "Whoever runs this service has to check its account with the audio network.",
  },
  "internal-error": { title: "Something went wrong", text: "The service has failed. Try again." },
  // Not the service's: found out here.
  unreachable: { title: "No connection", text: "The service cannot be reached. Check your connection, then try again." },
  "too-long": {
    title: "The sound could not be connected",
    text: "The audio network did not answer in time. A firewall may be in the way. Try again, or use another network.",
  },
  sound: { title: "The sound could not be connected", text: "The audio network refused the connection. Try again." },
};

/** @param {ShownProblem} told @returns {Message} */
export function problemWords(told) {
  if (told.rule && RULES[told.rule]) {
    return { title: "This number is not called", text: `${RULES[told.rule]}${later(told.retryAfter)}` };
  }
  const known = PROBLEMS[told.kind];
  if (known) return { title: known.title, text: `${known.text}${told.kind === "rate-limited" ? later(told.retryAfter) : ""}` };
  return { title: told.title || "Something went wrong", text: sentence(told.detail) || "Try again." };
}

/** @param {string | undefined} detail */
function sentence(detail) {
  if (!detail) return "";
  const whole = detail[0].toUpperCase() + detail.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

/** @param {number | null | undefined} seconds */
function later(seconds) {
  if (!seconds) return "";
  if (seconds < 90) return ` Try again in ${Math.ceil(seconds)} seconds.`;
  return ` Try again in ${Math.ceil(seconds / 60)} minutes.`;
}

/** @type {Record<string, Message>} by the name of what getUserMedia threw */
const MICROPHONE = {
  NotAllowedError: {
    title: "The microphone is blocked",
    text: "Allow it for this site: click the icon beside the address, switch the microphone on, then try again. "
      + "If it is still blocked, look at the privacy settings of your device.",
  },
  NotFoundError: {
    title: "No microphone found",
    text: "Plug one in, or switch your headset on, then try again.",
  },
  NotReadableError: {
    title: "The microphone is in use",
    text: "Another program may be using it. Close that program, or choose another microphone, then try again.",
  },
  InsecureContext: {
    title: "This page is not secure",
    text: "Browsers give the microphone only to pages that begin with https. Open the link you were sent as it is.",
  },
  ended: {
    title: "Your microphone is gone",
    text: "It was unplugged or switched off, so the others cannot hear you.",
  },
};

/** @type {Record<string, string>} */
const ALIKE = {
  SecurityError: "NotAllowedError",
  PermissionDeniedError: "NotAllowedError",
  OverconstrainedError: "NotFoundError",
  DevicesNotFoundError: "NotFoundError",
  AbortError: "NotReadableError",
  TrackStartError: "NotReadableError",
};

/** @param {string} fault @returns {Message} */
export function microphoneWords(fault) {
  return (
    MICROPHONE[ALIKE[fault] ?? fault] ?? { title: "The microphone does not work", text: "Check it, then try again." }
  );
}

/** @type {Record<string, Message>} */
export const ENDINGS = {
  left: { title: "You have left the room", text: "Your microphone is off. You can close this page." },
  removed: {
    title: "You are no longer in the room",
    text: "Somebody has removed you, or you have joined from another tab or device.",
  },
  closed: { title: "The room has been closed", text: "Everybody has been taken out, and your microphone is off." },
};

/** @type {Record<string, string>} */
export const STEPS = {
  invitation: "Checking your invitation…",
  microphone: "Waiting for your microphone…",
  seat: "Taking a seat in the room…",
  connect: "Connecting the sound…",
  publish: "Sending your voice…",
};

/** @type {Record<string, string>} */
export const LINKS = {
  up: "Connected",
  lost: "Connection lost. Trying to come back…",
  rejoining: "Joining again…",
};

/** @type {Record<import("./tones.js").Unsent, string>} */
export const TONES = {
  refused: "The audio network does not take tones on this connection.",
  listening: "Tones need a microphone. Start talking first.",
  silent: "The key was not sent: nothing goes out of your microphone now. Check it, or wait for the connection, then "
    + "press all keys again.",
};
