/** How long to wait before trying again. Pure but for `pause`. */

const FIRST = 500;
const LONGEST = 15_000;

/**
 * Milliseconds before the attempt: half a second, doubling to fifteen, and up to half of it more.
 *
 * @param {number} attempt from 0
 * @param {number} jitter from 0 to 1, so that a thousand pages do not come back in one moment
 */
export function delay(attempt, jitter) {
  const base = Math.min(LONGEST, FIRST * 2 ** Math.min(attempt, 10));
  return Math.round(base * (1 + jitter / 2));
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} [cutShort] ends the pause early
 * @returns {Promise<void>}
 */
export function pause(milliseconds, cutShort) {
  return new Promise((resolve) => {
    if (cutShort?.aborted) return resolve();
    const timer = setTimeout(done, milliseconds);
    function done() {
      clearTimeout(timer);
      cutShort?.removeEventListener("abort", done);
      resolve();
    }
    cutShort?.addEventListener("abort", done);
  });
}

/** It has taken longer than it may. */
export class TooLong extends Error {}

/**
 * @template T
 * @param {Promise<T>} work it goes on, and whatever comes of it later is not looked at
 * @param {number} milliseconds
 * @returns {Promise<T>} rejects with TooLong
 */
export function within(work, milliseconds) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new TooLong(`longer than ${milliseconds} ms`)), milliseconds);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
