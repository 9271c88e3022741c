/** Before joining: the name, the microphone and its check. */

import { byId, drawMeter, notice, sayMeter, setText } from "./dom.js";
import { levelWords, wakeMeters } from "./levels.js";
import { microphoneWords, problemWords } from "./messages.js";

/** From 0 to 1; whoever speaks into a microphone that works is louder. */
const HEARD = 0.35;

export class Lobby {
  #heard = false;

  /**
   * @param {import("./microphone.js").Microphone} microphone
   * @param {{admit: () => Promise<boolean>, join: () => void}} on `admit`: whether the person may come in at all
   */
  constructor(microphone, on) {
    this.microphone = microphone;
    this.on = on;
    byId("check-button").addEventListener("click", () => this.check());
    byId("device").addEventListener("change", () => this.check());
    byId("original").addEventListener("change", () => microphone.open && this.check());
    byId("join-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#join(true);
    });
    byId("listen-button").addEventListener("click", () => this.#join(false));
    navigator.mediaDevices?.addEventListener?.("devicechange", () => microphone.open && this.#listDevices());
  }

  get name() {
    return byId("name").value.trim();
  }

  /** @param {string | null} name left alone where the person has typed one */
  suggestName(name) {
    if (!byId("name").value) byId("name").value = name ?? "";
  }

  /** @param {import("./messages.js").ShownProblem | null} problem */
  show(problem) {
    notice("lobby-problem", problem && problemWords(problem));
    this.#showCheck();
  }

  /** @returns {Promise<boolean>} whether the microphone is open now */
  async check() {
    wakeMeters();
    if (!(await this.on.admit())) return false;
    byId("check-button").disabled = true;
    const fault = await this.microphone.use(byId("device").value, byId("original").checked);
    byId("check-button").disabled = false;
    notice("microphone-problem", fault === null ? null : microphoneWords(fault));
    this.#heard = false;
    if (fault === null) await this.#listDevices();
    this.#showCheck();
    return fault === null;
  }

  /** Again and again while it is shown. @param {boolean} aloud whether the time has come for screen readers */
  draw(aloud) {
    if (!this.microphone.open) return;
    const level = this.microphone.level();
    const meter = byId("check-level");
    drawMeter(meter, level);
    if (aloud) sayMeter(meter, level, levelWords(level));
    if (level > HEARD) this.#heard = true;
    setText(byId("check-hint"), this.#heard ? "Your microphone works." : "Say something: the bar should move.");
  }

  /** @param {boolean} speaking */
  async #join(speaking) {
    wakeMeters();
    if (!speaking) this.microphone.close();
    else if (!this.microphone.open && !(await this.check())) return;
    if (await this.on.admit()) this.on.join();
  }

  #showCheck() {
    byId("check-before").hidden = this.microphone.open;
    byId("check-after").hidden = !this.microphone.open;
  }

  async #listDevices() {
    const chosen = this.microphone.deviceId;
    const options = (await this.microphone.choices()).map((device, index) => {
      const label = device.label || `Microphone ${index + 1}`;
      return new Option(label, device.deviceId, false, device.deviceId === chosen);
    });
    byId("device").replaceChildren(...options);
  }
}
