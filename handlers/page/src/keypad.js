/** Touch tones, by buttons, or by typing while the keypad has the focus. */

import { byId, setText } from "./dom.js";
import { ToneQueue } from "./tones.js";
import { TONES } from "./messages.js";

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
/** @type {Record<string, string>} */
const NAMES = { "*": "Star", "#": "Pound" };
const SHOWN = 20;

export class Keypad {
  #sent = "";

  /** @param {(tone: string) => Promise<import("./tones.js").Unsent | null>} play null: it has gone out */
  constructor(play) {
    this.queue = new ToneQueue(play, (tone, unsent) => this.#show(tone, unsent));
    this.panel = byId("keypad");
    this.toggle = byId("keypad-button");
    const keys = this.panel.querySelector(".keys");
    for (const key of KEYS) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "key";
      button.textContent = key;
      if (NAMES[key]) button.setAttribute("aria-label", NAMES[key]);
      button.addEventListener("click", () => this.queue.press(key));
      keys.append(button);
    }
    this.panel.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape") this.#open(false);
      else if (isKey(event)) this.queue.press(event.key);
    });
    this.toggle.addEventListener("click", () => this.#open(this.panel.hidden));
  }

  clear() {
    this.queue.clear();
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

  /** @param {string} tone @param {import("./tones.js").Unsent | null} unsent */
  #show(tone, unsent) {
    if (unsent === null) this.#sent = (this.#sent + tone).slice(-SHOWN);
    setText(byId("sent"), unsent === null ? this.#sent : TONES[unsent]);
  }
}

/** @param {KeyboardEvent} event @returns {boolean} whether it is a key of ours, pressed anew and by itself */
function isKey(event) {
  return KEYS.includes(event.key) && !event.repeat && !(event.ctrlKey || event.metaKey || event.altKey);
}
