/**
 * One connection to Bandwidth's media gateway, by its own SDK: all that this page knows of the SDK's inside.
 *
 * The SDK reports streams and nothing else: not that its socket has been refused (it tries again every second
 * without end, with the same token), not that a connection has failed. So its class is extended at the place that
 * it leaves open for that (`createPeerConnection`), and its socket is watched. Its version is pinned.
 */

import { BandwidthRtcV3 } from "@bandwidth/webrtc-browser";

import { within } from "./backoff.js";
import { playTone } from "./tones.js";

/** Milliseconds. */
const CONNECT = 10_000;
const AWAY = 6_000;
const SOCKET_CLOSED = 3_000;
const NORMAL_CLOSURE = 1000;

/** What is used of it is private to TypeScript's eyes. */
const Inside = /** @type {new () => any} */ (/** @type {unknown} */ (BandwidthRtcV3));

/**
 * @typedef {{streamId: string, participantId: string | null, stream: MediaStream}} Heard
 * @typedef {{onStream: (heard: Heard) => void, onStreamGone: (streamId: string) => void,
 *   onDropped: (deliberately: boolean) => void, onConnected: () => void, onMediaClosed: () => void,
 *   onLost: () => void}} Listener
 *   `onDropped`: the socket has closed; unless that was deliberate, the SDK opens it again. `onConnected`: it is
 *   open. `onMediaClosed`: the gateway has closed media in good order. `onLost`: the socket has not come back, or media
 *   has failed.
 */

class WatchedRtc extends Inside {
  /** @param {() => void} onFailed @param {() => void} onClosed by the gateway, in good order */
  constructor(onFailed, onClosed) {
    super();
    this.onFailed = onFailed;
    this.onClosed = onClosed;
  }

  /** Where the SDK leaves room for others. */
  createPeerConnection() {
    const connection = super.createPeerConnection();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let away;
    /** @type {Set<RTCDtlsTransport>} */
    const watched = new Set();
    connection.addEventListener("connectionstatechange", () => {
      clearTimeout(away);
      // A gateway that closes DTLS in good order leaves the connection `connected` until nothing answers any more.
      for (const transport of transports(connection)) {
        if (watched.has(transport)) continue;
        watched.add(transport);
        transport.addEventListener("statechange", () => transport.state === "closed" && this.onClosed());
      }
      // Browsers take a quarter of a minute from `disconnected` to `failed`, and nothing is heard meanwhile.
      if (connection.connectionState === "disconnected") away = setTimeout(this.onFailed, AWAY);
      if (connection.connectionState === "failed") this.onFailed();
    });
    return connection;
  }
}

/** @param {RTCPeerConnection} connection @returns {RTCDtlsTransport[]} */
function transports(connection) {
  const users = [connection.sctp, ...connection.getSenders(), ...connection.getReceivers()];
  return users.flatMap((user) => user?.transport ?? []);
}

export class Gateway {
  #over = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #away;

  /** @param {Listener} listener nothing is told after `close` */
  constructor(listener) {
    this.listener = listener;
    this.rtc = new WatchedRtc(
      () => this.#lost(),
      () => this.#over || listener.onMediaClosed(),
    );
    this.rtc.onStreamAvailable((/** @type {any} */ { endpointId, mediaStream, participantId }) => {
      if (this.#over) return;
      listener.onStream({ streamId: endpointId, participantId: participantId ?? null, stream: mediaStream });
    });
    this.rtc.onStreamUnavailable((/** @type {string} */ streamId) => {
      if (!this.#over) listener.onStreamGone(streamId);
    });
  }

  /**
   * @param {string} deviceToken
   * @param {string} url base of the SDK's WebSocket, to which it appends `/v3/`
   * @returns {Promise<void>} rejects with TooLong when the gateway does not take us
   */
  async connect(deviceToken, url) {
    const connecting = this.rtc.connect({ deviceToken }, { websocketUrl: url.replace(/\/+$/, "") });
    const socket = this.rtc.signaling.ws;
    socket.on("open", () => this.#opened());
    socket.on("close", (/** @type {number} */ code) => this.#closed(code));
    await within(connecting, CONNECT);
  }

  /**
   * @param {MediaStream} stream the SDK stops its tracks at the end: give it a copy
   * @returns {Promise<void>}
   */
  async publish(stream) {
    await within(this.rtc.publish(stream, undefined, "microphone"), CONNECT);
  }

  /** @param {boolean} enabled */
  setMicrophone(enabled) {
    this.rtc.setMicEnabled(enabled);
  }

  /**
   * @param {string} tone one of 0-9*#
   * @returns {Promise<import("./tones.js").Unsent | null>} null once it has been played
   */
  async sendTone(tone) {
    const connection = this.rtc.publishingPeerConnection;
    if (connection?.connectionState !== "connected") return "silent";
    /** @type {RTCRtpSender[]} */
    const senders = connection.getSenders();
    // The track of a microphone that is gone has ended; the one that was opened then is beside it.
    const sender = senders.find(({ track }) => track?.kind === "audio" && track.readyState === "live");
    return sender ? playTone(sender, tone) : "silent";
  }

  close() {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#away);
    const socket = this.rtc.signaling.ws;
    if (socket && !socket.ready) {
      // Its `disconnect` wants an open socket, and a retry under way would go on with the old token for ever.
      socket.setAutoReconnect(false);
      clearTimeout(socket.reconnect_timer_id);
      socket.socket?.close(NORMAL_CLOSURE);
      this.rtc.signaling.ws = null;
    }
    this.rtc.disconnect();
  }

  #opened() {
    clearTimeout(this.#away);
    if (!this.#over) this.listener.onConnected();
  }

  /** @param {number} code */
  #closed(code) {
    if (this.#over) return;
    // After a normal closure the SDK does not come back, and tells nobody.
    const deliberately = code === NORMAL_CLOSURE;
    this.listener.onDropped(deliberately);
    clearTimeout(this.#away);
    this.#away = setTimeout(() => this.#lost(), deliberately ? SOCKET_CLOSED : AWAY);
  }

  #lost() {
    if (!this.#over) this.listener.onLost();
  }
}
