/**
 * Being in the room: the seat, the heartbeat, the sound, and coming back when one of them is lost.
 *
 * What an event makes of the page is decided in page_state.js; this does what the new state wants.
 */

import { delay, pause, TooLong } from "./backoff.js";
import { Heartbeat } from "./heartbeat.js";
import { LOBBY, next } from "./page_state.js";
import { Problem } from "./api_client.js";

/** Milliseconds for which a seat has to hold before coming back counts as a first attempt again. */
const STEADY = 30_000;
/** Milliseconds after which it is no wonder that the service has given the seat up. */
const LONG_SILENCE = 30_000;
/** Milliseconds in which live events arrive, as a rule. */
const NEWS = 1000;
const GONE = 410;

/**
 * @typedef {import("./page_state.js").State} State
 * @typedef {import("./page_state.js").PageEvent} PageEvent
 * @typedef {{onState: (state: State, problem: Problem | null) => void, onStep: (step: string) => void}} Listener
 */
export class RoomSession {
  /** @type {State} */
  state = LOBBY;
  participantId = "";
  #name = "";
  /** @type {import("./gateway.js").Gateway | null} */
  #gateway = null;
  /** @type {Heartbeat | null} */
  #heartbeat = null;
  /** Counts what has been begun: whoever finds another number afterwards has been overtaken. */
  #turn = 0;
  #attempt = 0;
  #rejoined = 0;
  #wake = new AbortController();

  /**
   * @param {import("./api_client.js").ApiClient} server
   * @param {import("./microphone.js").Microphone} microphone
   * @param {import("./playback.js").Playback} sound
   * @param {(listener: import("./gateway.js").Listener) => import("./gateway.js").Gateway} open
   * @param {Listener} listener
   */
  constructor(server, microphone, sound, open, listener) {
    this.server = server;
    this.microphone = microphone;
    this.sound = sound;
    this.open = open;
    this.listener = listener;
  }

  /** @param {string} name what the others see */
  async join(name) {
    this.#name = name;
    this.#attempt = 0;
    const turn = ++this.#turn;
    this.#say("join");
    try {
      await this.#enter(turn);
    } catch (error) {
      if (turn === this.#turn) this.#end("join-failed", problemOf(error));
      return;
    }
    if (turn === this.#turn) this.#say("joined");
  }

  cancel() {
    this.#end("cancelled");
  }

  leave() {
    this.#end("leave");
  }

  /** @param {Problem} problem for which the person does not come in at all */
  refuse(problem) {
    this.#end("refused", problem);
  }

  /** To the check of the microphone, after all was over. */
  back() {
    this.#say("back");
  }

  /** The room is no more. */
  closed() {
    if (this.state.name === "room") this.#end("closed");
  }

  /** The page goes away, now. */
  farewell() {
    if (this.participantId) this.server.farewell(this.participantId);
  }

  offline() {
    this.#say("offline");
  }

  /** Perhaps something has changed: ask at once. */
  look() {
    this.#wake.abort();
    this.#wake = new AbortController();
    this.#heartbeat?.now();
  }

  /** @param {boolean} muted */
  mute(muted) {
    this.microphone.muted = muted;
    this.#gateway?.setMicrophone(!muted);
  }

  /** A microphone that was opened in the room. Rejects with what the gateway has against it. */
  async publish() {
    const copy = this.microphone.copy();
    if (copy) await this.#gateway?.publish(copy);
  }

  /**
   * @param {string} tone
   * @returns {Promise<import("./tones.js").Unsent | null>} why it has not gone out; null: it has
   */
  async sendTone(tone) {
    if (!this.microphone.open) return "listening";
    return this.#gateway?.sendTone(tone) ?? "silent";
  }

  /**
   * @param {PageEvent} event
   * @param {Problem | null} [problem]
   */
  #say(event, problem = null) {
    const before = this.state;
    this.state = next(before, event);
    if (this.state === before) return;
    if (this.state.name === "over" || this.state.name === "lobby") this.#release();
    this.listener.onState(this.state, problem);
    if (rejoining(this.state) && !rejoining(before)) this.#comeBack();
  }

  /**
   * By the person's will, or for good. Whoever is removed has nothing to give back.
   *
   * @param {PageEvent} event
   * @param {Problem | null} [problem]
   */
  #end(event, problem = null) {
    this.#turn += 1;
    if (this.participantId) this.#giveBack(this.participantId);
    this.#say(event, problem);
  }

  /**
   * A seat, the sound, and the first heartbeat. The sound of an older seat goes on until there is a new one.
   *
   * @param {number} turn
   */
  async #enter(turn) {
    this.listener.onStep("seat");
    const seat = await this.server.takeSeat(this.#name);
    if (turn !== this.#turn) return this.#giveBack(seat.participantId);
    this.#release();
    this.participantId = seat.participantId;
    const gateway = this.#newGateway();
    this.#gateway = gateway;
    this.listener.onStep("connect");
    await gateway.connect(seat.token, seat.deviceUrl);
    const copy = turn === this.#turn ? this.microphone.copy() : null;
    if (copy) {
      this.listener.onStep("publish");
      await gateway.publish(copy);
    }
    if (turn !== this.#turn) return;
    this.#heartbeat = new Heartbeat(
      () => this.server.beat(seat.participantId),
      (problem) => this.#answered(seat.participantId, problem),
    );
  }

  #newGateway() {
    return this.open({
      onStream: (heard) => this.sound.add(heard),
      onStreamGone: (streamId) => this.sound.remove(streamId),
      onDropped: (deliberately) => {
        if (!deliberately) this.#say("dropped");
        this.look();
      },
      onConnected: () => this.#say("connected"),
      onMediaClosed: () => this.#mediaClosed(),
      onLost: () => this.#say("media-lost"),
    });
  }

  /** The same is seen by whoever was removed, and only the service knows of that. */
  async #mediaClosed() {
    const seat = this.participantId;
    const problem = await this.server.beat(seat).then(() => null, problemOf);
    // What is said of an older seat may come when there is a new one already.
    if (seat !== this.participantId) return;
    if (problem?.status === GONE || problem?.final) this.#answered(seat, problem);
    else this.#say("media-lost");
  }

  /**
   * @param {string} seat
   * @param {Problem | null} problem of its heartbeat
   */
  #answered(seat, problem) {
    if (problem?.status === GONE) {
      this.#gone(seat);
    } else if (problem?.final) {
      this.#end("refused", problem);
    } else {
      this.#say(problem ? "beat-failed" : "beat");
    }
  }

  /**
   * The seat has been given up. That the room was closed may be on its way, and says why.
   *
   * @param {string} seat
   */
  async #gone(seat) {
    if ((this.#heartbeat?.silence ?? 0) > LONG_SILENCE) this.#say("dropped");
    this.#heartbeat?.stop();
    await pause(NEWS);
    if (seat === this.participantId) this.#say("gone");
  }

  async #comeBack() {
    this.#heartbeat?.stop();
    const turn = ++this.#turn;
    if (Date.now() - this.#rejoined >= STEADY) this.#attempt = 0;
    for (;;) {
      if (this.#attempt > 0) await pause(delay(this.#attempt - 1, Math.random()), this.#wake.signal);
      if (turn !== this.#turn) return;
      this.#attempt += 1;
      try {
        await this.#enter(turn);
        break;
      } catch (error) {
        if (turn !== this.#turn) return;
        const problem = problemOf(error);
        if (problem.final) return this.#end("refused", problem);
      }
    }
    if (turn !== this.#turn) return;
    this.#say("rejoined");
    this.#rejoined = Date.now();
  }

  #release() {
    this.#heartbeat?.stop();
    this.#heartbeat = null;
    this.#gateway?.close();
    this.#gateway = null;
    this.participantId = "";
    this.sound.clear();
  }

  /** @param {string} participantId */
  #giveBack(participantId) {
    // When this fails the service finds out by itself that nobody is there.
    this.server.leave(participantId).catch(() => {});
  }
}

/** @param {State} state */
function rejoining(state) {
  return state.name === "room" && state.link === "rejoining";
}

/** @param {unknown} error @returns {Problem} */
function problemOf(error) {
  if (error instanceof Problem) return error;
  return new Problem({ kind: error instanceof TooLong ? "too-long" : "sound", status: 0 });
}
