/** Owns the screen of a call: it only brings the parts together and tells each of them what the room says. */

import type { Room, RoomEvent } from "../sdk/index.js";
import { Carriers } from "./carriers.js";
import { Chat } from "./chat.js";
import { Button, Notice } from "./controls.js";
import type { Devices } from "./devices.js";
import { el, setAttribute, setText } from "./dom.js";
import { explain, warning } from "./failures.js";
import { icon } from "./icons.js";
import { displayName } from "./identity.js";
import { Invitation } from "./invitation.js";
import { Meter, SPEECH } from "./meter.js";
import { Panels } from "./panels.js";
import { People } from "./people.js";
import { Pickers } from "./pickers.js";
import { Safety } from "./safety.js";
import { Sending } from "./sending.js";
import { canShareScreen } from "./support.js";
import { Tiles } from "./tiles.js";
import { Toasts } from "./toasts.js";
import { linkHere, type Entered, type Page, type View } from "./view.js";
import { keepAwake } from "./wake.js";
import { words } from "./words.js";

/** Sound that plays this long after joining needs no click, in ms. */
const HEAR_AFTER_MS = 1_000;
/** The ring stays for so long after the last word, in ms. */
const RING_MS = 400;

/** The screen of a call. */
export function callView(page: Page, entered: Entered): View {
  const call = new Call(page, entered);
  return { element: call.element, dispose: () => call.dispose() };
}

class Call {
  readonly element: HTMLElement;
  readonly #page: Page;
  readonly #room: Room;
  readonly #devices: Devices;
  readonly #ownName: string;
  readonly #sending: Sending;
  readonly #invitation: Invitation;
  readonly #tiles: Tiles;
  readonly #chat: Chat;
  readonly #people: People;
  readonly #safety = new Safety();
  readonly #carriers = new Carriers();
  readonly #panels = new Panels();
  readonly #toasts = new Toasts();
  readonly #pickers: Pickers;
  readonly #controls: Controls;
  readonly #title = el("h1", { id: "room-title", tabindex: -1, dir: "auto" });
  readonly #connection = el("p", { id: "connection", class: "banner", role: "status", hidden: true });
  readonly #transport = el("p", { id: "transport", class: "banner quiet", role: "status", hidden: true });
  readonly #trouble = new Notice("call-trouble");
  readonly #alarm = new Notice("alarm");
  readonly #hear: HTMLElement;
  readonly #sleep: () => void;
  /** Everybody who ever was here: what was written stays theirs after they left. */
  readonly #names = new Map<number, string>();
  #unread = 0;
  #meter: { readonly track: MediaStreamTrack; readonly meter: Meter } | undefined;
  #spokeAt = 0;
  #hearTimer: number | undefined;
  #over = false;

  constructor(page: Page, { room, devices, name }: Entered) {
    this.#page = page;
    this.#room = room;
    this.#devices = devices;
    this.#ownName = name;
    this.#sending = new Sending(room, devices);
    this.#invitation = new Invitation(room);
    this.#tiles = new Tiles(room, this.#invitation.element);
    this.#people = new People(room);
    this.#pickers = new Pickers("call-choose", devices);
    this.#chat = new Chat(room, (text) => this.#wrote(text));
    this.#controls = new Controls({
      mute: () => void this.#sending.mute(!this.#sending.muted),
      camera: () => this.#toggleCamera(),
      share: () => void this.#toggleScreen(),
      leave: () => this.#leave(),
    }, this.#invitation);
    const controls = this.#controls;
    this.#panels.add("chat", words.chat.heading, this.#chat.element, controls.chat, () => this.#read());
    this.#panels.add("people", "", this.#people.element, controls.people);
    this.#panels.add("safety", words.safety.heading, this.#safety.element, controls.code);
    this.#panels.add("operators", words.carriers.heading, this.#carriers.element, controls.carriers);
    this.#panels.add("devices", words.devices.heading, this.#pickers.element, controls.devices, () => void this.#pickers.update());
    const hear = new Button("hear", { icon: "speaker", words: words.call.hear }, () => void this.#play(), "primary");
    this.#hear = el("div", { id: "hear-banner", class: "banner", role: "status", hidden: true }, el("span", {}, words.call.hearHint), hear.element);

    this.element = el("main", { id: "call", class: "call" },
      el("header", { class: "top" }, el("div", { class: "titles" }, icon("mark"), this.#title), controls.top),
      el("div", { class: "banners" }, this.#connection, this.#transport, this.#hear, this.#alarm.element, this.#trouble.element),
      el("div", { class: "stage" }, this.#tiles.element, this.#panels.element, this.#toasts.element),
      controls.bottom,
    );

    devices.changed = () => {
      void this.#sending.sync();
      void this.#pickers.update();
      this.#update();
    };
    this.#sending.changed = () => this.#update();
    this.#sleep = keepAwake();
    if (page.query.debug) Object.assign(window, { conclave: { room } });
    void this.#sending.sync();
    this.#awaitSound();
    this.#update();
    void this.#follow();
  }

  dispose(): void {
    this.#over = true;
    window.clearTimeout(this.#hearTimer);
    this.#meter?.meter.close();
    this.#meter = undefined;
    this.#sending.changed = () => undefined;
    this.#devices.changed = () => undefined;
    this.#sending.close();
    this.#tiles.dispose();
    this.#toasts.dispose();
    this.#sleep();
    void this.#room.leave();
  }

  async #follow(): Promise<void> {
    for (let event = await this.#room.next(); event !== undefined && !this.#over; event = await this.#room.next()) {
      this.#told(event);
      if (!this.#over && event.event !== "speaking") this.#update();
    }
  }

  #told(event: RoomEvent): void {
    const { call } = words;
    switch (event.event) {
      case "participantJoined":
        return this.#toasts.say(call.joined(this.#name(event.participant.id, event.participant.name)));
      case "participantLeft":
        return this.#toasts.say(call[event.how](this.#name(event.id)));
      case "trackPublished":
        if (event.track.kind === "screen") this.#toasts.say(call.sharing(this.#name(event.track.participant)));
        return;
      case "speaking":
        return this.#tiles.speakers(event.participants);
      case "chat":
        return this.#said(event.from, event.text, event.at);
      case "warning":
        return this.#warned(event.kind, event.text);
      case "ended":
        return this.#ended(event.why, event.kind, event.text);
      default:
        return;
    }
  }

  /** Everything that can be seen, from the state as it is now. */
  #update(): void {
    const { state } = this.#room;
    for (const person of state.participants) this.#names.set(person.id, displayName(person, state.participants));
    setText(this.#title, state.title === "" ? words.call.untitled : state.title);
    document.title = `${state.title === "" ? words.call.untitled : state.title} – ${words.name}`;
    const { muted, screen } = this.#sending;
    this.#tiles.update({ camera: this.#devices.track("camera"), screen, muted });
    this.#people.update(muted);
    this.#panels.title("people", words.people.heading(state.participants.length));
    this.#safety.update(this.#room);
    this.#carriers.update(this.#room);
    this.#controls.update({ muted, camera: this.#devices.track("camera") !== undefined, sharing: screen !== undefined,
      people: state.participants.length, unread: this.#unread });
    this.#connected();
    this.#trouble.say(this.#devices.trouble("microphone") ?? this.#devices.trouble("camera") ?? this.#sending.trouble);
    this.#listen(muted ? undefined : this.#devices.track("microphone"));
  }

  #connected(): void {
    const { connection, transport } = this.#room.state;
    setText(this.#connection, words.connection[connection]);
    this.#connection.hidden = words.connection[connection] === "";
    setAttribute(this.element, "data-connection", connection);
    setAttribute(this.#transport, "data-transport", transport);
    setText(this.#transport, transport === "websocket" ? words.tcp : "");
    this.#transport.hidden = transport !== "websocket";
  }

  #name(id: number, otherwise: string = words.chat.gone): string {
    const { participants } = this.#room.state;
    const person = participants.find((one) => one.id === id);
    return person === undefined ? (this.#names.get(id) ?? otherwise) : displayName(person, participants);
  }

  #wrote(text: string): void {
    this.#chat.add({ from: this.#room.state.me ?? -1, name: this.#ownName, mine: true, text, at: Date.now() });
  }

  #said(from: number, text: string, at: number): void {
    const name = this.#name(from);
    this.#chat.add({ from, name, mine: false, text, at });
    if (this.#panels.isOpen("chat")) return;
    this.#unread += 1;
    this.#toasts.say(words.chat.news(name, text), "message");
  }

  #read(): void {
    this.#unread = 0;
    this.#toasts.forgetMessages();
    this.#chat.opened();
    this.#update();
  }

  #warned(kind: string, text: string): void {
    const known = warning(kind, text);
    if (known.alarm) this.#alarm.say(known.text);
    else this.#toasts.say(known.text, "trouble");
  }

  #toggleCamera(): void {
    if (this.#devices.track("camera") === undefined) void this.#devices.switchOn("camera");
    else this.#devices.switchOff("camera");
  }

  async #toggleScreen(): Promise<void> {
    if (this.#sending.screen !== undefined) return this.#sending.unshare();
    const trouble = await this.#sending.share();
    if (trouble !== undefined) this.#toasts.say(trouble, "trouble");
  }

  /** The ring around one's own tile; the room tells the others'. */
  #listen(track: MediaStreamTrack | undefined): void {
    if (this.#meter?.track === track) return;
    this.#meter?.meter.close();
    this.#meter = undefined;
    this.#tiles.ownSpeaking(false);
    if (track === undefined) return;
    this.#meter = {
      track,
      meter: new Meter(track, (level) => {
        if (level > SPEECH) this.#spokeAt = performance.now();
        this.#tiles.ownSpeaking(performance.now() - this.#spokeAt < RING_MS);
      }),
    };
  }

  #awaitSound(): void {
    this.#hearTimer = window.setTimeout(() => (this.#hear.hidden = false), HEAR_AFTER_MS);
    void this.#room.playing.then(() => {
      window.clearTimeout(this.#hearTimer);
      this.#hear.hidden = true;
    });
  }

  async #play(): Promise<void> {
    await this.#room.play();
    this.#hear.hidden = true;
  }

  #leave(): void {
    this.#page.over({
      heading: words.ended.left, text: words.ended.leftHint, kind: "left",
      again: { words: words.ended.again, goal: { kind: "join", link: linkHere(this.#room.link) } },
    });
  }

  #ended(why: "left" | "callEnded" | "failed", kind: string, text: string): void {
    if (why === "left") return this.#leave();
    if (why === "callEnded") {
      return this.#page.over({
        heading: words.ended.callEnded, text: words.ended.callEndedHint, kind,
        again: { words: words.ended.again, goal: { kind: "join", link: linkHere(this.#room.link) } },
      });
    }
    this.#page.over({
      heading: words.ended.failed, text: explain(kind, text).text, kind,
      again: { words: words.ended.again, goal: { kind: "join", link: linkHere(this.#room.link) } },
    });
  }
}

/** What the buttons are told. */
interface Shown {
  readonly muted: boolean;
  readonly camera: boolean;
  readonly sharing: boolean;
  readonly people: number;
  readonly unread: number;
}

/** What the buttons do. */
interface Acts {
  mute(): void;
  camera(): void;
  share(): void;
  leave(): void;
}

/** The buttons above and below the tiles. */
class Controls {
  readonly top: HTMLElement;
  readonly bottom: HTMLElement;
  readonly chat = new Button("open-chat", { icon: "chat", words: words.call.chat }, () => undefined);
  readonly people = new Button("open-people", { icon: "people", words: words.call.people }, () => undefined);
  readonly code = new Button("open-code", { icon: "shield", words: words.call.code }, () => undefined);
  readonly carriers = new Button("open-carriers", { icon: "route", words: words.call.carriers }, () => undefined);
  readonly devices = new Button("open-devices", { icon: "settings", words: words.call.devices }, () => undefined);
  readonly #mute: Button;
  readonly #camera: Button;
  readonly #share: Button;
  readonly #badge = el("span", { id: "chat-unread", class: "badge", hidden: true });
  readonly #count = el("span", { id: "people-count", class: "badge plain", "aria-hidden": "true" });

  constructor(acts: Acts, invitation: Invitation) {
    this.#mute = new Button("mute", { icon: "microphone", words: words.call.mute }, acts.mute);
    this.#camera = new Button("camera", { icon: "camera", words: words.call.cameraOff }, acts.camera);
    this.#share = new Button("share", { icon: "screen", words: words.call.share }, acts.share);
    const leave = new Button("leave", { icon: "leave", words: words.call.leave }, acts.leave, "danger");
    const copy = new Button("copy-link", { icon: "link", words: words.call.copy }, () => void copied());
    const copied = async (): Promise<void> => {
      if (!(await invitation.copy())) return;
      copy.face({ icon: "check", words: words.call.copied });
      window.setTimeout(() => copy.face({ icon: "link", words: words.call.copy }), 2_500);
    };
    this.#share.element.hidden = !canShareScreen();
    this.chat.element.append(this.#badge);
    this.people.element.append(this.#count);
    this.top = el("nav", { class: "views", "aria-label": words.call.views },
      copy.element, this.people.element, this.code.element, this.carriers.element);
    this.bottom = el("footer", { class: "controls", role: "toolbar", "aria-label": words.call.controls },
      this.#mute.element, this.#camera.element, this.#share.element, this.chat.element, this.devices.element, leave.element);
  }

  update(shown: Shown): void {
    const { call } = words;
    this.#mute.face(shown.muted
      ? { icon: "microphoneOff", words: call.unmute, state: "off" }
      : { icon: "microphone", words: call.mute, state: "on" });
    this.#camera.face(shown.camera
      ? { icon: "camera", words: call.cameraOff, state: "on" }
      : { icon: "cameraOff", words: call.cameraOn, state: "off" });
    this.#share.face({ icon: "screen", words: shown.sharing ? call.stopSharing : call.share, ...(shown.sharing ? { state: "on" as const } : {}) });
    setText(this.#count, String(shown.people));
    setText(this.#badge, shown.unread === 0 ? "" : words.chat.unread(shown.unread));
    this.#badge.hidden = shown.unread === 0;
  }
}
