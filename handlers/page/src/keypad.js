/** Touch tones, by buttons, or by typing while the keypad has the focus. */

import { byId, setText } from "./dom.js";

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
/** @type {Record<string, string>} */
const NAMES = { "*": "Star", "#": "Pound" };
const SHOWN = 20;

export class Keypad {
  #sent = "";

  /** @param {(tone: string) => string | null} send null, or why it does not go out */
  constructor(send) {
    this.send = send;
    this.panel = byId("keypad");
    this.toggle = byId("keypad-button");
    const keys = this.panel.querySelector(".keys");
    for (const key of KEYS) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "key";
      button.textContent = key;
      if (NAMES[key]) button.setAttribute("aria-label", NAMES[key]);
      button.addEventListener("click", () => this.#press(key));
      keys.append(button);
    }
    this.panel.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape") this.#open(false);
      else if (KEYS.includes(event.key) && !event.ctrlKey && !event.metaKey && !event.altKey) this.#press(event.key);
    });
    this.toggle.addEventListener("click", () => this.#open(this.panel.hidden));
  }

  clear() {
    this.panel.hidden = true;
    this.toggle.setAttribute("aria-expanded", "false");
    this.#sent = "";
    setText(byId("sent"), "");
  }

  /** @param {boolean} open */
  #open(open) {
    this.panel.hidden = !open;
    this.toggle.setAttribute("aria-expanded", String(open));
    if (open) byId("keypad-heading").focus();
    else this.toggle.focus();
  }

  /** @param {string} key */
  #press(key) {
    const wrong = this.send(key);
    if (wrong === null) this.#sent = (this.#sent + key).slice(-SHOWN);
    setText(byId("sent"), wrong ?? this.#sent);
  }
}
