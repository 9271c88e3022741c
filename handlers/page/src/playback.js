/** What is heard: each stream in an audio element of its own, for as long as it is available. */

import { Meter } from "./levels.js";

/** @typedef {{participantId: string | null, element: HTMLAudioElement, meter: Meter}} Playing */

export class Playback {
  /** @type {Map<string, Playing>} by stream */
  #playing = new Map();

  /**
   * @param {HTMLElement} place where the elements are kept
   * @param {(blocked: boolean) => void} onBlocked whether the browser wants a click before it plays
   */
  constructor(place, onBlocked) {
    this.place = place;
    this.onBlocked = onBlocked;
  }

  /** @param {import("./gateway.js").Heard} heard one that is known already is replaced */
  add({ streamId, participantId, stream }) {
    this.remove(streamId);
    const element = document.createElement("audio");
    element.autoplay = true;
    element.dataset.participant = participantId ?? "";
    element.srcObject = stream;
    this.place.append(element);
    this.#playing.set(streamId, { participantId, element, meter: new Meter(stream) });
    this.#play(element);
  }

  /** @param {string} streamId */
  remove(streamId) {
    const playing = this.#playing.get(streamId);
    if (!playing) return;
    this.#playing.delete(streamId);
    playing.meter.close();
    playing.element.srcObject = null;
    playing.element.remove();
  }

  clear() {
    for (const streamId of [...this.#playing.keys()]) this.remove(streamId);
    this.onBlocked(false);
  }

  /** On a click. */
  unblock() {
    this.onBlocked(false);
    for (const { element } of this.#playing.values()) this.#play(element);
  }

  /** @param {string} participantId @returns {number} the loudest of its streams, from 0 to 1 */
  level(participantId) {
    let loudest = 0;
    for (const playing of this.#playing.values()) {
      if (playing.participantId === participantId) loudest = Math.max(loudest, playing.meter.read());
    }
    return loudest;
  }

  /** @param {HTMLAudioElement} element */
  #play(element) {
    element.play().catch((error) => {
      if (error.name === "NotAllowedError" && element.isConnected) this.onBlocked(true);
    });
  }
}
