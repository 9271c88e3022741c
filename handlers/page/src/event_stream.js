/** The room's live events, for as long as somebody wants them. */

import { delay } from "./backoff.js";

/** A `mark` says nothing about the room: the browser keeps its id as the place to come back to. */
const TYPES = ["snapshot", "participant", "call", "room", "reset", "mark"];

export class EventStream {
  /** @type {EventSource | null} */
  #source = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  #failures = 0;

  /**
   * @param {string} url
   * @param {(news: import("./room_state.js").RoomEvent) => void} tell
   */
  constructor(url, tell) {
    this.url = url;
    this.tell = tell;
  }

  start() {
    if (this.#source || this.#retry) return;
    const source = new EventSource(this.url);
    this.#source = source;
    source.onopen = () => (this.#failures = 0);
    source.onerror = () => {
      // After a lost connection the browser comes back by itself and resumes; after any refusal it never does.
      if (source.readyState !== EventSource.CLOSED) return;
      this.stop();
      this.#retry = setTimeout(() => {
        this.#retry = undefined;
        this.start();
      }, delay(this.#failures++, Math.random()));
    };
    for (const type of TYPES) {
      source.addEventListener(type, (event) => this.tell({ type, data: JSON.parse(event.data || "{}") }));
    }
  }

  stop() {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#source?.close();
    this.#source = null;
  }
}
