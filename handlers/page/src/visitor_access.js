/** Who the person is to the service: the invitation in the address, once, and the cookie it has become. */

import { Problem } from "./api_client.js";

/** @typedef {import("./api_client.js").Visit} Visit */

export class VisitorAccess {
  /** @type {Visit | null} */
  visit = null;
  /** @type {Promise<Visit> | null} */
  #asking = null;

  /** @param {import("./api_client.js").ApiClient} server */
  constructor(server) {
    this.server = server;
  }

  get invitation() {
    return new URLSearchParams(location.search).get("invitation");
  }

  /** @param {string} scope */
  may(scope) {
    return this.visit?.scopes.includes(scope) ?? false;
  }

  /**
   * Uses the invitation up; to be called when the person does something, never because a link was opened.
   *
   * @returns {Promise<Visit>} rejects with Problem
   */
  async ask() {
    if (this.visit) return this.visit;
    this.#asking ??= this.#ask();
    try {
      this.visit = await this.#asking;
    } finally {
      this.#asking = null;
    }
    return this.visit;
  }

  async #ask() {
    const { invitation } = this;
    if (!invitation) return this.server.visit();
    const visit = await this.server.exchange(invitation).catch((refusal) => this.#byCookie(refusal));
    history.replaceState(null, "", location.pathname);
    return visit;
  }

  /** The link of yesterday, opened again by who used it. @param {unknown} refusal @returns {Promise<Visit>} */
  async #byCookie(refusal) {
    if (!(refusal instanceof Problem) || !refusal.final) throw refusal;
    return this.server.visit().catch(() => {
      throw refusal;
    });
  }
}
