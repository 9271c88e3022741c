/** The person's microphone: asked for, chosen, muted, and told about when it goes away. */

import { Meter } from "./levels.js";

/**
 * What the browser is asked for. The original sound is for music, and for measuring.
 *
 * @param {string} deviceId empty: whichever the browser takes
 * @param {boolean} original
 * @returns {MediaStreamConstraints}
 */
export function constraints(deviceId, original) {
  const improved = !original;
  return {
    audio: {
      ...(deviceId && { deviceId: { exact: deviceId } }),
      echoCancellation: improved,
      noiseSuppression: improved,
      autoGainControl: improved,
    },
    video: false,
  };
}

export class Microphone {
  /** @type {MediaStream | null} */
  #stream = null;
  /** @type {Meter | null} */
  #meter = null;
  muted = false;

  /** @param {() => void} onEnded it was unplugged, or the permission was taken back */
  constructor(onEnded) {
    this.onEnded = onEnded;
  }

  get open() {
    return this.#stream !== null;
  }

  get deviceId() {
    return this.#stream?.getAudioTracks()[0]?.getSettings().deviceId ?? "";
  }

  /**
   * Opens it, or another one instead.
   *
   * @param {string} deviceId
   * @param {boolean} original
   * @returns {Promise<string | null>} the fault's name, see microphoneWords; null: it is open
   */
  async use(deviceId, original) {
    if (!globalThis.isSecureContext || !navigator.mediaDevices?.getUserMedia) return "InsecureContext";
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia(constraints(deviceId, original));
    } catch (error) {
      const fault = error instanceof Error || error instanceof DOMException ? error.name : "unknown";
      // The one that was chosen is gone: any other is better than none.
      return deviceId && fault === "OverconstrainedError" ? this.use("", original) : fault;
    }
    this.close();
    this.#stream = stream;
    this.#meter = new Meter(stream);
    stream.getAudioTracks()[0].addEventListener("ended", () => {
      if (this.#stream !== stream) return;
      this.close();
      this.onEnded();
    });
    return null;
  }

  /** @returns {Promise<MediaDeviceInfo[]>} */
  async choices() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter((device) => device.kind === "audioinput" && device.deviceId);
  }

  /** @returns {MediaStream | null} for the SDK, which stops what it is given */
  copy() {
    if (!this.#stream) return null;
    const copy = this.#stream.clone();
    for (const track of copy.getAudioTracks()) track.enabled = !this.muted;
    return copy;
  }

  /** From 0 to 1; 0 as well while muted. */
  level() {
    return this.muted ? 0 : (this.#meter?.read() ?? 0);
  }

  close() {
    this.#meter?.close();
    this.#meter = null;
    const stream = this.#stream;
    this.#stream = null;
    for (const track of stream?.getTracks() ?? []) track.stop();
  }
}
