/** Signs of life for one seat, and what the service says to them. */

import { delay } from "./backoff.js";
import { Problem } from "./api_client.js";

/** Milliseconds; the service gives a seat up that it has not heard of for 45 s. */
const INTERVAL = 10_000;

export class Heartbeat {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #next;
  #missed = 0;
  #underWay = false;
  #over = false;
  #answered = Date.now();

  /**
   * @param {() => Promise<void>} beat rejects with Problem
   * @param {(problem: Problem | null) => void} tell what came of each; nothing is told after `stop`
   */
  constructor(beat, tell) {
    this.beat = beat;
    this.tell = tell;
    this.now();
  }

  /** Milliseconds since the service knew the seat. A computer that sleeps misses beats without noticing. */
  get silence() {
    return Date.now() - this.#answered;
  }

  /** At once, and in the usual rhythm from then on. */
  now() {
    clearTimeout(this.#next);
    if (!this.#over && !this.#underWay) this.#go();
  }

  stop() {
    this.#over = true;
    clearTimeout(this.#next);
  }

  async #go() {
    this.#underWay = true;
    const problem = await this.beat().then(
      () => null,
      (error) => (error instanceof Problem ? error : new Problem({ kind: "unreachable", status: 0 })),
    );
    this.#underWay = false;
    if (this.#over) return;
    this.#missed = problem ? this.#missed + 1 : 0;
    const wait = problem ? Math.min(INTERVAL, delay(this.#missed - 1, Math.random())) : INTERVAL;
    this.#next = setTimeout(() => this.#go(), wait);
    this.tell(problem);
    if (!problem) this.#answered = Date.now();
  }
}
