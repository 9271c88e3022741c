/**
 * Touch tones: one after the other, and each is told as sent only once it has gone out.
 *
 * `insertDTMF` replaces what has not been played yet, so the next key waits for the end of the one before.
 */

import { within } from "./backoff.js";

/** Milliseconds of a tone, and between two. */
const DURATION = 100;
const GAP = 50;
/** Browsers take about a quarter of a second. */
const PATIENCE = 3000;

/**
 * @typedef {"listening" | "refused" | "silent"} Unsent why a tone did not go out: there is no microphone, the gateway
 *   takes no tones, or nothing goes out at all
 */

/** Keys that wait for their turn. */
export class ToneQueue {
  #waiting = "";
  #busy = false;
  /** Counts how often it was cleared: what was begun before is told to nobody. */
  #turn = 0;

  /**
   * @param {(tone: string) => Promise<Unsent | null>} play
   * @param {(tone: string, unsent: Unsent | null) => void} tell in the order of the keys; after one that has not
   *   been sent those that wait are dropped: half a number is worse than none
   */
  constructor(play, tell) {
    this.play = play;
    this.tell = tell;
  }

  /** @param {string} tone */
  async press(tone) {
    this.#waiting += tone;
    if (this.#busy) return;
    this.#busy = true;
    const turn = this.#turn;
    while (turn === this.#turn && this.#waiting) {
      const next = this.#waiting[0];
      this.#waiting = this.#waiting.slice(1);
      const unsent = await this.play(next);
      if (turn !== this.#turn) return;
      if (unsent !== null) this.#waiting = "";
      this.tell(next, unsent);
    }
    this.#busy = false;
  }

  clear() {
    this.#turn += 1;
    this.#waiting = "";
    this.#busy = false;
  }
}

/**
 * Plays a tone on the microphone's track, as telephone events (RFC 4733), to its end.
 *
 * A track that has ended sends nothing, and `canInsertDTMF` and `tonechange` do not say so: packets are counted.
 *
 * @param {RTCRtpSender} sender of a live track
 * @param {string} tone one of 0-9*#
 * @returns {Promise<Unsent | null>}
 */
export async function playTone(sender, tone) {
  const { dtmf } = sender;
  if (!dtmf?.canInsertDTMF) return "refused";
  const before = await packetsSent(sender);
  /** @type {(event: RTCDTMFToneChangeEvent) => void} */
  let changed = () => {};
  const played = new Promise((resolve) => {
    changed = (event) => event.tone === "" && resolve(null);
  });
  dtmf.addEventListener("tonechange", changed);
  try {
    dtmf.insertDTMF(tone, DURATION, GAP);
    await within(played, PATIENCE);
  } catch (error) {
    return error instanceof DOMException ? "refused" : "silent";
  } finally {
    dtmf.removeEventListener("tonechange", changed);
  }
  return (await packetsSent(sender)) > before ? null : "silent";
}

/** @param {RTCRtpSender} sender @returns {Promise<number>} */
async function packetsSent(sender) {
  let packets = 0;
  for (const report of (await sender.getStats()).values()) {
    if (report.type === "outbound-rtp") packets += report.packetsSent;
  }
  return packets;
}
