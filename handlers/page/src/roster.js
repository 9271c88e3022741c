/** The list of who is in the room, with a level for each and a way to hang up. */

import { announce, byId, drawMeter, sayMeter, setIcon, setText } from "./dom.js";
import { levelWords } from "./levels.js";
import { shownNumber, spokenNumber } from "./numbers.js";
import { callWords } from "./messages.js";

/** @typedef {import("./room_state.js").Row} Row */

export class Roster {
  /** @type {Map<string, {row: Row, item: HTMLElement}>} */
  #shown = new Map();
  #first = true;

  /** @param {{level: (row: Row) => number, muted: () => boolean | null, hangUp: (call: string) => void}} on
   *   `muted`: of yourself; null without a microphone */
  constructor(on) {
    this.on = on;
    this.list = byId("people");
  }

  /** @param {Row[]} rows @param {boolean} mayHangUp */
  show(rows, mayHangUp) {
    const keys = new Set(rows.map((row) => row.key));
    for (const [key, { row, item }] of this.#shown) {
      if (keys.has(key)) continue;
      // Focus must not fall out of the page with the button that had it.
      if (item.contains(document.activeElement)) byId("people-heading").focus();
      item.remove();
      this.#shown.delete(key);
      if (row.inRoom && !row.self) announce(`${spoken(row)} has left`);
    }
    this.list.classList.toggle("hangs-up", mayHangUp);
    for (const [index, row] of rows.entries()) this.#place(row, index, mayHangUp);
    this.#first = false;
    setText(byId("count"), String(rows.filter((row) => row.inRoom).length || ""));
    byId("alone").hidden = rows.some((row) => !row.self);
  }

  clear() {
    this.#shown.clear();
    this.list.replaceChildren();
    this.#first = true;
  }

  /** Again and again while it is shown. @param {boolean} aloud whether the time has come for screen readers */
  draw(aloud) {
    for (const { row, item } of this.#shown.values()) {
      const meter = /** @type {HTMLElement} */ (item.querySelector(".meter"));
      const level = row.inRoom ? this.on.level(row) : 0;
      drawMeter(meter, level);
      item.classList.toggle("speaking", level > 0.35);
      if (aloud) sayMeter(meter, level, row.self && this.on.muted() ? "muted" : levelWords(level));
    }
  }

  /** @param {Row} row @param {number} index @param {boolean} mayHangUp */
  #place(row, index, mayHangUp) {
    const known = this.#shown.get(row.key);
    const item = known?.item ?? this.#newItem(row);
    if (this.list.children[index] !== item) this.list.insertBefore(item, this.list.children[index] ?? null);
    const doing = this.#doing(row);
    setText(/** @type {Element} */ (item.querySelector(".name")), name(row));
    setText(/** @type {Element} */ (item.querySelector(".doing")), doing);
    item.dataset.participant = row.participantId ?? "";
    item.classList.toggle("outside", !row.inRoom);
    const meter = /** @type {HTMLElement} */ (item.querySelector(".meter"));
    meter.hidden = !row.inRoom;
    meter.setAttribute("aria-label", `Level of ${row.self ? "yourself" : spoken(row)}`);
    const hangUp = /** @type {HTMLButtonElement} */ (item.querySelector("button"));
    hangUp.hidden = !(mayHangUp && row.call && row.call.state !== "ended");
    hangUp.setAttribute("aria-label", `Hang up ${spoken(row)}`);
    hangUp.dataset.call = row.call?.id ?? "";
    this.#tell(known?.row, row, doing);
    this.#shown.set(row.key, { row, item });
  }

  /** @param {Row} row */
  #newItem(row) {
    const template = /** @type {HTMLTemplateElement} */ (byId("person"));
    const item = /** @type {HTMLElement} */ (/** @type {Element} */ (template.content.firstElementChild).cloneNode(true));
    setIcon(/** @type {Element} */ (item.querySelector(".face")), row.kind);
    const hangUp = /** @type {HTMLButtonElement} */ (item.querySelector("button"));
    hangUp.addEventListener("click", () => this.on.hangUp(hangUp.dataset.call ?? ""));
    return item;
  }

  /** @param {Row | undefined} before @param {Row} row @param {string} doing */
  #tell(before, row, doing) {
    if (this.#first || row.self) return;
    if (row.inRoom && !before?.inRoom) announce(`${spoken(row)} has joined`);
    else if (!row.inRoom && before?.call?.state !== row.call?.state) announce(`${spoken(row)}: ${doing}`);
  }

  /** @param {Row} row */
  #doing(row) {
    if (row.self) return selfWords(this.on.muted());
    if (row.kind === "browser") return "In a browser";
    return row.call ? callWords(row.call) : "In the room";
  }
}

/** @param {boolean | null} muted */
function selfWords(muted) {
  if (muted === null) return "Listening only";
  return muted ? "Muted" : "Microphone on";
}

/** @param {Row} row */
function name(row) {
  const own = row.kind === "phone" ? shownNumber(row.number) : row.name || "Guest";
  return row.self ? `${own} (you)` : own;
}

/** @param {Row} row */
function spoken(row) {
  return row.kind === "phone" ? spokenNumber(row.number) : row.name || "Guest";
}
