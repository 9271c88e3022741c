/** The page: its parts put together, and shown as the state of the conversation wants it. */

import { VisitorAccess } from "./visitor_access.js";
import { RoomSession } from "./room_session.js";
import { Dialer } from "./dialer.js";
import { announce, byId, notice, setIcon, setText } from "./dom.js";
import { Gateway } from "./gateway.js";
import { Keypad } from "./keypad.js";
import { wakeMeters } from "./levels.js";
import { EMPTY_ROOM, reduce, rows } from "./room_state.js";
import { Lobby } from "./lobby.js";
import { Microphone } from "./microphone.js";
import { EventStream } from "./event_stream.js";
import { Roster } from "./roster.js";
import { Problem, ApiClient } from "./api_client.js";
import { Playback } from "./playback.js";
import { ENDINGS, LINKS, microphoneWords, problemWords, STEPS } from "./messages.js";

/** @typedef {import("./page_state.js").State} State */

/** Milliseconds between two looks at the meters, for eyes and for screen readers. */
const DRAWN = 60;
const DRAWN_CALMLY = 400;
const TOLD = 700;

const SECTIONS = { lobby: "lobby", joining: "joining", room: "in-room", over: "over" };
const TITLES = { lobby: "Join", joining: "Joining", room: "In", over: "Out of" };

class Page {
  live = EMPTY_ROOM;
  /** Whether the person wants to be heard, also after coming back. */
  speaking = true;

  constructor() {
    this.room = decodeURIComponent(location.pathname.split("/")[2] ?? "");
    this.api = new ApiClient(this.room);
    this.access = new VisitorAccess(this.api);
    this.microphone = new Microphone(() => this.#microphoneEnded());
    this.playback = new Playback(byId("sound"), (blocked) => (byId("blocked").hidden = !blocked));
    this.session = new RoomSession(this.api, this.microphone, this.playback, (listener) => new Gateway(listener), {
      onState: (state, problem) => this.#show(state, problem),
      onStep: (step) => setText(byId("step"), STEPS[step]),
    });
    this.lobby = new Lobby(this.microphone, { admit: () => this.#admit(), join: () => this.#join() });
    this.roster = new Roster({
      level: (row) => (row.self ? this.microphone.level() : this.playback.level(row.participantId ?? "")),
      muted: () => (this.microphone.open ? this.microphone.muted : null),
      hangUp: (call) => this.#hangUp(call),
    });
    this.dialer = new Dialer((to) => this.api.dial(to));
    this.keypad = new Keypad((tone) => this.session.sendTone(tone));
    this.eventStream = new EventStream(this.api.events, (news) => this.#tell(news));
  }

  start() {
    for (const element of document.querySelectorAll("[data-room]")) setText(element, this.room);
    this.#listen();
    this.#section("lobby");
    this.lobby.show(null);
    this.#drawAgain(0, 0);
    // A link in the address is for the person's own first step; a cookie may be looked at.
    if (!this.access.invitation) this.#admit();
  }

  #listen() {
    byId("mute-button").addEventListener("click", () => this.#toggleMute());
    byId("leave-button").addEventListener("click", () => this.session.leave());
    byId("cancel-button").addEventListener("click", () => this.session.cancel());
    byId("again-button").addEventListener("click", () => this.#again());
    byId("sound-button").addEventListener("click", () => {
      wakeMeters();
      this.playback.unblock();
      byId("mute-button").focus();
    });
    document.addEventListener("keydown", (event) => {
      if (isShortcut(event) && this.session.state.name === "room") this.#toggleMute();
    });
    addEventListener("offline", () => this.session.offline());
    addEventListener("online", () => this.session.look());
    document.addEventListener("visibilitychange", () => document.hidden || this.session.look());
    addEventListener("pagehide", () => this.session.farewell());
    addEventListener("pageshow", (event) => event.persisted && location.reload());
  }

  /** @returns {Promise<boolean>} */
  async #admit() {
    try {
      const visit = await this.access.ask();
      this.lobby.suggestName(visit.name);
      return true;
    } catch (error) {
      const problem = error instanceof Problem ? error : new Problem({ kind: "internal-error", status: 0 });
      if (problem.final) this.session.refuse(problem);
      else this.lobby.show(problem);
      return false;
    }
  }

  #join() {
    this.speaking = this.microphone.open;
    this.session.join(this.lobby.name);
  }

  async #again() {
    if (this.speaking && !(await this.lobby.check())) this.session.back();
    else this.#join();
  }

  /** @param {State} state @param {Problem | null} problem */
  #show(state, problem) {
    const entered = this.#section(SECTIONS[state.name]);
    document.title = `${TITLES[state.name]} ${this.room}`;
    byId("link").hidden = state.name !== "room";
    switch (state.name) {
      case "lobby":
        this.lobby.show(problem);
        break;
      case "room":
        if (entered) this.#enter();
        byId("link").dataset.link = state.link;
        setText(byId("link"), LINKS[state.link]);
        this.#render();
        break;
      case "over":
        this.#end(state.why, problem);
    }
  }

  /** @param {string} id @returns {boolean} whether it was not the one that is shown already */
  #section(id) {
    if (!byId(id).hidden) return false;
    for (const section of Object.values(SECTIONS)) byId(section).hidden = section !== id;
    byId(id).querySelector("h1").focus();
    scrollTo(0, 0);
    return true;
  }

  #enter() {
    this.live = EMPTY_ROOM;
    notice("room-problem", null);
    byId("dialer").hidden = !this.access.may("dial");
    this.#showMute();
    this.eventStream.start();
  }

  /** @param {import("./page_state.js").Ending} why @param {Problem | null} problem */
  #end(why, problem) {
    this.eventStream.stop();
    this.microphone.close();
    this.roster.clear();
    this.keypad.clear();
    const words = why === "refused" ? problemWords(problem ?? { kind: "internal-error" }) : ENDINGS[why];
    setText(byId("over-title"), words.title);
    setText(byId("over-text"), words.text);
    // Without admission there is no way in; the words say what to do.
    byId("again-button").hidden = problem?.status === 403 || problem?.status === 401;
  }

  /** @param {import("./room_state.js").RoomEvent} news */
  #tell(news) {
    const before = this.live;
    this.live = reduce(before, news, this.room, Date.now());
    const self = this.session.participantId;
    if (news.type === "participant" && news.data.state === "left" && news.data.participantId === self) {
      this.session.look();
    }
    if (this.live.closed && !before.closed) this.session.closed();
    if (this.live !== before) this.#render();
  }

  #render() {
    if (this.session.state.name !== "room" || !this.live.known) return;
    const shown = rows(this.live, this.session.participantId, Date.now());
    this.roster.show(shown, this.access.may("hangup"));
    this.dialer.show(this.live.calls);
  }

  async #toggleMute() {
    if (this.microphone.open) {
      this.session.mute(!this.microphone.muted);
      announce(this.microphone.muted ? "Microphone muted" : "Microphone on");
    } else {
      await this.#openMicrophone();
    }
    this.#showMute();
    this.#render();
  }

  async #openMicrophone() {
    wakeMeters();
    this.microphone.muted = false;
    const fault = await this.microphone.use(byId("device").value, byId("original").checked);
    notice("room-problem", fault === null ? null : microphoneWords(fault));
    if (fault !== null) return;
    this.speaking = true;
    try {
      await this.session.publish();
      announce("Microphone on");
    } catch {
      this.microphone.close();
      notice("room-problem", problemWords({ kind: "sound" }));
    }
  }

  #microphoneEnded() {
    if (this.session.state.name !== "room") return this.lobby.show(null);
    notice("room-problem", microphoneWords("ended"));
    this.#showMute();
    this.#render();
  }

  #showMute() {
    const button = byId("mute-button");
    const { open, muted } = this.microphone;
    setText(button.querySelector("span"), open ? (muted ? "Unmute" : "Mute") : "Start talking");
    button.classList.toggle("off", !open || muted);
    setIcon(button, !open || muted ? "muted" : "microphone");
  }

  /** @param {string} call */
  async #hangUp(call) {
    try {
      await this.api.hangUp(call);
      notice("room-problem", null);
    } catch (error) {
      notice("room-problem", problemWords(error instanceof Problem ? error : { kind: "internal-error" }));
    }
  }

  /** @param {number} drawn @param {number} told milliseconds, when each was done last */
  #drawAgain(drawn, told) {
    requestAnimationFrame((now) => {
      const interval = matchMedia("(prefers-reduced-motion: reduce)").matches ? DRAWN_CALMLY : DRAWN;
      if (now - drawn < interval) return this.#drawAgain(drawn, told);
      const aloud = now - told >= TOLD;
      const { name } = this.session.state;
      if (name === "lobby") this.lobby.draw(aloud);
      if (name === "room") this.roster.draw(aloud);
      if (aloud) this.#render();
      this.#drawAgain(now, aloud ? now : told);
    });
  }
}

/** @param {KeyboardEvent} event @returns {boolean} whether it is `m`, and not part of something that is typed */
function isShortcut(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  const typing = target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
  return event.key.toLowerCase() === "m" && !event.repeat && !typing
    && !(event.ctrlKey || event.metaKey || event.altKey);
}

new Page().start();
