/**
 * Who is in the room and what the calls are at: a reducer of the service's events, and the rows that are shown.
 * Pure.
 *
 * @typedef {{participantId: string, kind: "phone" | "browser", call: string | null, name: string | null}} Person
 * @typedef {{id: string, room: string | null, state: string, direction: string, from: string | null, to: string | null,
 *   participantId: string | null, outcome: {blame: string, reason: string} | null}} Call
 *   `room`: null where it has gone to another room, whose name is not told.
 * @typedef {Call & {away?: boolean, seenAt: number}} KnownCall
 *   `away`: its participant has left, and nothing newer is known of the call. `seenAt`: milliseconds, ours.
 * @typedef {{known: boolean, closed: boolean, people: Record<string, Person>, calls: Record<string, KnownCall>}} Live
 *   `known`: a snapshot has come.
 * @typedef {{key: string, kind: "phone" | "browser", name: string | null, number: string | null,
 *   participantId: string | null, call: KnownCall | null, self: boolean, inRoom: boolean}} Row
 * @typedef {{type: string, data: any}} News
 */

/** Milliseconds for which a call that has ended is still shown. */
export const FAREWELL = 8_000;

/** @type {Live} */
export const NOTHING = Object.freeze({ known: false, closed: false, people: {}, calls: {} });

/**
 * @param {Live} live
 * @param {News} news
 * @param {string} room
 * @param {number} now milliseconds
 * @returns {Live} the same object when nothing has changed
 */
export function reduce(live, news, room, now) {
  switch (news.type) {
    case "snapshot":
      return snapshot(news.data, now);
    case "participant":
      return news.data.state === "left" ? without(live, news.data.participantId, now) : withPerson(live, news.data);
    case "call":
      return withCall(live, news.data, room, now);
    case "room":
      return news.data.state === "closed" ? { ...live, closed: true } : live;
    case "mark":
      return live;
    default: // `reset` is followed by a snapshot; what we do not know may be left out
      return live;
  }
}

/**
 * Browsers and phones that are in, then calls on their way; you come first.
 *
 * @param {Live} live
 * @param {string} self participant id
 * @param {number} now milliseconds
 * @returns {Row[]}
 */
export function rows(live, self, now) {
  const people = Object.values(live.people);
  const shown = people.map((person) => rowOf(person, live.calls[person.call ?? ""] ?? null, self));
  const inside = new Set(people.map((person) => person.call));
  for (const call of Object.values(live.calls)) {
    if (!inside.has(call.id) && (call.state === "ended" ? now - call.seenAt < FAREWELL : !call.away)) {
      shown.push(rowOf({ participantId: "", kind: "phone", call: call.id, name: null }, call, self));
    }
  }
  return shown.sort((one, other) => rank(one) - rank(other));
}

/** @param {KnownCall | Call} call @returns {string | null} the number at the other end, masked */
export function numberOf(call) {
  return call.direction === "outbound" ? call.to : call.from;
}

/** @param {any} data @param {number} now @returns {Live} */
function snapshot(data, now) {
  const people = data.participants.filter((/** @type {any} */ person) => person.state !== "left");
  const calls = data.calls.filter((/** @type {Call} */ call) => call.state !== "ended");
  return {
    known: true,
    closed: false,
    people: Object.fromEntries(people.map((/** @type {Person} */ person) => [person.participantId, person])),
    calls: Object.fromEntries(calls.map((/** @type {Call} */ call) => [call.id, { ...call, seenAt: now }])),
  };
}

/** @param {Live} live @param {any} data @returns {Live} */
function withPerson(live, data) {
  const { participantId, kind, call, name } = data;
  const people = Object.entries(live.people).filter(([, person]) => !call || person.call !== call);
  return {
    ...live,
    closed: false,
    people: { ...Object.fromEntries(people), [participantId]: { participantId, kind, call, name } },
  };
}

/** @param {Live} live @param {string} participantId @param {number} now @returns {Live} */
function without(live, participantId, now) {
  const { [participantId]: gone, ...people } = live.people;
  if (!gone) return live;
  const call = live.calls[gone.call ?? ""];
  if (call?.state !== "bridged") return { ...live, people };
  return { ...live, people, calls: { ...live.calls, [call.id]: { ...call, away: true, seenAt: now } } };
}

/** @param {Live} live @param {Call} data @param {string} room @param {number} now @returns {Live} */
function withCall(live, data, room, now) {
  const { [data.id]: before, ...calls } = live.calls;
  if (data.room !== room) return before ? { ...live, calls } : live;
  for (const call of Object.values(calls)) {
    if (call.state === "ended" && now - call.seenAt >= FAREWELL) delete calls[call.id];
  }
  return { ...live, calls: { ...calls, [data.id]: { ...data, seenAt: now } } };
}

/** @param {Person} person @param {KnownCall | null} call @param {string} self @returns {Row} */
function rowOf(person, call, self) {
  return {
    key: person.call ?? person.participantId,
    kind: person.kind,
    name: person.name,
    number: call ? numberOf(call) : null,
    participantId: person.participantId || null,
    call,
    self: person.participantId !== "" && person.participantId === self,
    inRoom: person.participantId !== "",
  };
}

/** @param {Row} row */
function rank(row) {
  return row.self ? 0 : row.inRoom ? 1 : row.call?.state === "ended" ? 3 : 2;
}
