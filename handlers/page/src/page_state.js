/**
 * Where the page is, and what each event makes of it. Pure: what has to be done on the way is room_session.js.
 *
 * lobby -> joining -> room -> over, and from `over` to joining again. While the person is in the room the link
 * to it is `up`; `lost` (nothing answers, the sound may go on) or `rejoining` (a new seat is being taken).
 *
 * @typedef {"up" | "lost" | "rejoining"} Link
 * @typedef {"left" | "removed" | "closed" | "refused"} Ending
 * @typedef {{name: "lobby"}
 *   | {name: "joining"}
 *   | {name: "room", link: Link, trouble: boolean, dropped: boolean}
 *   | {name: "over", why: Ending}} State
 *   `trouble`: something has failed since the service last knew us, so that losing the seat is no wonder;
 *   `dropped`: Bandwidth's socket is closed, for which the service gives the seat up although it hears of us.
 * @typedef {"join" | "joined" | "join-failed" | "cancelled" | "offline" | "beat" | "beat-failed" | "dropped"
 *   | "connected" | "media-lost" | "gone" | "rejoined" | "refused" | "closed" | "leave" | "back"} PageEvent
 */

/** @type {State} */
export const LOBBY = Object.freeze({ name: "lobby" });

/** @type {State} */
const JOINING = Object.freeze({ name: "joining" });

/** @type {State} */
const UP = Object.freeze({ name: "room", link: "up", trouble: false, dropped: false });

/** @type {Record<string, (why: PageEvent) => State | null>} */
const OUTSIDE = {
  lobby: (event) => (event === "join" ? JOINING : event === "refused" ? over("refused") : null),
  joining: (event) => {
    switch (event) {
      case "joined":
        return UP;
      case "join-failed":
      case "cancelled":
        return LOBBY;
      case "refused":
        return over("refused");
      default:
        return null;
    }
  },
  over: (event) => (event === "join" ? JOINING : event === "back" ? LOBBY : null),
};

/**
 * What does not fit changes nothing: the same object comes back.
 *
 * @param {State} state
 * @param {PageEvent} event
 * @returns {State}
 */
export function next(state, event) {
  const found = state.name === "room" ? inRoom(state, event) : OUTSIDE[state.name](event);
  return found ?? state;
}

/**
 * @param {Extract<State, {name: "room"}>} state
 * @param {PageEvent} event
 * @returns {State | null}
 */
function inRoom(state, event) {
  switch (event) {
    case "leave":
      return over("left");
    case "closed":
      return over("closed");
    case "refused":
      return over("refused");
    case "rejoined":
      return UP;
    case "media-lost":
      return state.link === "rejoining" ? null : { ...state, link: "rejoining", trouble: true };
    case "gone":
      // Whoever loses the seat out of the blue was removed, and coming back unasked would be rude.
      if (state.link === "rejoining") return null;
      if (!state.trouble && !state.dropped) return over("removed");
      return { ...state, link: "rejoining", trouble: true };
    case "offline":
    case "beat-failed":
      return state.link === "rejoining" ? null : { ...state, link: "lost", trouble: true };
    case "dropped":
      // The SDK connects again by itself within a second or two: no reason to alarm anybody yet.
      return { ...state, trouble: true, dropped: true };
    case "connected":
      return state.dropped ? { ...state, dropped: false } : null;
    case "beat":
      if (state.link === "rejoining" || (state.link === "up" && !state.trouble)) return null;
      return { ...state, link: "up", trouble: false };
    default:
      return null;
  }
}

/**
 * @param {Ending} why
 * @returns {State}
 */
function over(why) {
  return { name: "over", why };
}
