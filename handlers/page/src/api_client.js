/** The service's endpoints for this page; nothing else calls them. */

/** Milliseconds for an answer; the service itself gives Bandwidth less. */
const PATIENCE = 12_000;
const HEARTBEAT_PATIENCE = 5_000;

/** The service has answered with a problem (RFC 9457), or not at all (`unreachable`). */
export class Problem extends Error {
  /**
   * @param {{kind: string, status: number, title?: string, detail?: string, rule?: string,
   *   retryAfter?: number | null}} told `status` is 0 without an answer; `retryAfter` in seconds
   */
  constructor(told) {
    super(told.detail ?? told.title ?? told.kind);
    this.kind = told.kind;
    this.status = told.status;
    this.title = told.title;
    this.detail = told.detail;
    this.rule = told.rule;
    this.retryAfter = told.retryAfter ?? null;
  }

  /** Whether the same request, sent again, would be answered in the same way. */
  get final() {
    return this.status >= 400 && this.status < 500 && this.status !== 408 && this.status !== 429;
  }
}

/**
 * @typedef {{room: string, name: string | null, scopes: string[]}} Visit
 * @typedef {{participantId: string, token: string, expiresAt: string | null, deviceUrl: string}} Seat
 */
export class ApiClient {
  /** @param {string} room */
  constructor(room) {
    this.base = `/join/${encodeURIComponent(room)}`;
  }

  /** @returns {Promise<Visit>} of the cookie */
  visit() {
    return this.#ask("GET", "/visit");
  }

  /** @param {string} invitation used up by this @returns {Promise<Visit>} */
  exchange(invitation) {
    return this.#ask("POST", "/visit", { invitation });
  }

  /** @param {string} name @returns {Promise<Seat>} a new one; an older one of this visit is given up */
  takeSeat(name) {
    return this.#ask("POST", "/participant", name ? { name } : {});
  }

  /** @param {string} participantId @returns {Promise<void>} rejects with status 410 when the seat is gone */
  beat(participantId) {
    return this.#ask("POST", "/heartbeat", { participantId }, HEARTBEAT_PATIENCE);
  }

  /** @param {string} participantId @returns {Promise<void>} */
  leave(participantId) {
    return this.#ask("POST", "/leave", { participantId });
  }

  /** @param {string} participantId for the moment in which the page goes away */
  farewell(participantId) {
    const body = new Blob([JSON.stringify({ participantId })], { type: "application/json" });
    navigator.sendBeacon(`${this.base}/leave`, body);
  }

  /** @param {string} to E.164 @returns {Promise<import("./room_state.js").Call>} */
  dial(to) {
    return this.#ask("POST", "/calls", { to });
  }

  /** @param {string} call its id @returns {Promise<void>} */
  hangUp(call) {
    return this.#ask("POST", `/calls/${encodeURIComponent(call)}/hangup`, {});
  }

  get events() {
    return `${this.base}/events`;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   * @param {number} [patience] milliseconds
   * @returns {Promise<any>}
   */
  async #ask(method, path, body, patience = PATIENCE) {
    /** @type {Response} */
    let response;
    try {
      response = await fetch(this.base + path, {
        method,
        headers: body && { "Content-Type": "application/json" },
        body: body && JSON.stringify(body),
        signal: AbortSignal.timeout(patience),
        cache: "no-store",
      });
    } catch {
      throw new Problem({ kind: "unreachable", status: 0 });
    }
    const answer = await response.json().catch(() => null);
    if (response.ok) return answer;
    throw new Problem({
      kind: String(answer?.type ?? "").split(":").pop() || "internal-error",
      status: response.status,
      title: answer?.title,
      detail: answer?.detail,
      rule: answer?.rule,
      retryAfter: Number(response.headers.get("Retry-After")) || null,
    });
  }
}
