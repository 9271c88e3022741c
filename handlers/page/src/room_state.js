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
 * @typedef {{known: boolean, closed: boolean, people: Record<string, Person>, calls: Record<string, KnownCall>}} RoomState
 *   `known`: a snapshot has come.
 * @typedef {{key: string, kind: "phone" | "browser", name: string | null, number: string | null,
 *   participantId: string | null, call: KnownCall | null, self: boolean, inRoom: boolean}} Row
 * @typedef {{type: string, data: any}} RoomEvent
 */

/** Milliseconds for which a call that has ended is still shown. */
export const SHOW_ENDED_MS = 8_000;

/** @type {RoomState} */
export const EMPTY_ROOM = Object.freeze({ known: false, closed: false, people: {}, calls: {} });

/**
 * @param {RoomState} state
 * @param {RoomEvent} event
 * @param {string} room
 * @param {number} now milliseconds
 * @returns {RoomState} the same object when nothing has changed
 */
export function reduce(state, event, room, now) {
  switch (event.type) {
    case "snapshot":
      return snapshot(event.data, now);
    case "participant":
      return event.data.state === "left" ? without(state, event.data.participantId, now) : withPerson(state, event.data);
    case "call":
      return withCall(state, event.data, room, now);
    case "room":
      return event.data.state === "closed" ? { ...state, closed: true } : state;
    case "mark":
      return state;
    default: // `reset` is followed by a snapshot; what we do not know may be left out
      return state;
  }
}

/**
 * Browsers and phones that are in, then calls on their way; you come first.
 *
 * @param {RoomState} state
 * @param {string} self participant id
 * @param {number} now milliseconds
 * @returns {Row[]}
 */
export function rows(state, self, now) {
  const people = Object.values(state.people);
  const shown = people.map((person) => rowOf(person, state.calls[person.call ?? ""] ?? null, self));
  const inside = new Set(people.map((person) => person.call));
  for (const call of Object.values(state.calls)) {
    if (!inside.has(call.id) && (call.state === "ended" ? now - call.seenAt < SHOW_ENDED_MS : !call.away)) {
      shown.push(rowOf({ participantId: "", kind: "phone", call: call.id, name: null }, call, self));
    }
  }
  return shown.sort((one, other) => rank(one) - rank(other));
}

/** @param {KnownCall | Call} call @returns {string | null} the number at the other end, masked */
export function numberOf(call) {
  return call.direction === "outbound" ? call.to : call.from;
}

/** @param {any} data @param {number} now @returns {RoomState} */
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

/** @param {RoomState} state @param {any} data @returns {RoomState} */
function withPerson(state, data) {
  const { participantId, kind, call, name } = data;
  const people = Object.entries(state.people).filter(([, person]) => !call || person.call !== call);
  return {
    ...state,
    closed: false,
    people: { ...Object.fromEntries(people), [participantId]: { participantId, kind, call, name } },
  };
}

/** @param {RoomState} state @param {string} participantId @param {number} now @returns {RoomState} */
function without(state, participantId, now) {
  const { [participantId]: gone, ...people } = state.people;
  if (!gone) return state;
  const call = state.calls[gone.call ?? ""];
  if (call?.state !== "bridged") return { ...state, people };
  return { ...state, people, calls: { ...state.calls, [call.id]: { ...call, away: true, seenAt: now } } };
}

/** @param {RoomState} state @param {Call} data @param {string} room @param {number} now @returns {RoomState} */
function withCall(state, data, room, now) {
  const { [data.id]: before, ...calls } = state.calls;
  if (data.room !== room) return before ? { ...state, calls } : state;
  for (const call of Object.values(calls)) {
    if (call.state === "ended" && now - call.seenAt >= SHOW_ENDED_MS) delete calls[call.id];
  }
  return { ...state, calls: { ...calls, [data.id]: { ...data, seenAt: now } } };
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
