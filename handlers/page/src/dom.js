/** Small things that all parts of the view do with elements. */

/**
 * @param {string} id of an element that index.html has
 * @returns {any} which kind it is, index.html says
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no #${id}`);
  return found;
}

/** @param {Element} element @param {string} text written only where it differs: screen readers hear each write */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {string} id of a notice @param {import("./messages.js").Message | null} words null hides it */
export function notice(id, words) {
  const element = byId(id);
  element.hidden = words === null;
  setText(element.querySelector("strong"), words?.title ?? "");
  setText(element.querySelector("span"), words?.text ?? "");
}

/** @param {HTMLElement} meter @param {number} value from 0 to 1 */
export function drawMeter(meter, value) {
  const bar = /** @type {HTMLElement} */ (meter.firstElementChild);
  bar.style.transform = `scaleX(${value.toFixed(2)})`;
}

/** @param {HTMLElement} meter @param {number} value from 0 to 1 @param {string} words */
export function sayMeter(meter, value, words) {
  meter.setAttribute("aria-valuenow", String(Math.round(value * 100)));
  if (meter.getAttribute("aria-valuetext") !== words) meter.setAttribute("aria-valuetext", words);
}

/** Told politely to screen readers; seen by nobody. @param {string} text */
export function announce(text) {
  const log = byId("announcer");
  const line = document.createElement("p");
  line.textContent = text;
  log.append(line);
  while (log.childElementCount > 5) log.firstElementChild.remove();
}

/** @param {Element} element @param {string} icon */
export function setIcon(element, icon) {
  element.querySelector("use")?.setAttribute("href", `#i-${icon}`);
}
