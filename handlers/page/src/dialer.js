/** Calling a phone into the room, and what becomes of it. */

import { byId, setText } from "./dom.js";
import { readNumber, shownNumber } from "./numbers.js";
import { Problem } from "./api_client.js";
import { callWords, problemWords } from "./messages.js";

/** @typedef {import("./room_state.js").Call} Call */

export class Dialer {
  /** @type {Call | null} the last one that was placed here */
  #call = null;

  /** @param {(to: string) => Promise<Call>} dial rejects with Problem */
  constructor(dial) {
    this.dial = dial;
    byId("dial-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#place();
    });
  }

  /** @param {Record<string, Call>} calls as the service has told them */
  show(calls) {
    if (this.#call) this.#call = calls[this.#call.id] ?? this.#call;
    setText(byId("dial-status"), this.#call ? `${shownNumber(this.#call.to)}: ${callWords(this.#call)}` : "");
  }

  async #place() {
    const field = byId("number");
    const read = readNumber(field.value);
    this.#wrong("wrong" in read ? read.wrong : "");
    if ("wrong" in read) return field.focus();
    const button = byId("dial-button");
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    try {
      this.#call = await this.dial(read.number);
      field.value = "";
      this.show({});
    } catch (error) {
      const told = error instanceof Problem ? error : { kind: "internal-error" };
      this.#wrong(problemWords(told).text);
    }
    button.removeAttribute("aria-disabled");
  }

  /** @param {string} text */
  #wrong(text) {
    setText(byId("number-wrong"), text);
    byId("number").toggleAttribute("aria-invalid", text !== "");
    if (text) byId("number").setAttribute("aria-invalid", "true");
  }
}
