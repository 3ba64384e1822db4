/**
 * Owns the field of tiles: one for each person, one for each shared screen. Tiles are kept as long as what they show is
 * there; the field is laid out anew when their number or its size changes.
 */

import type { Participant, Room, Track } from "../sdk/index.js";
import { el, foreign, setAttribute, setText } from "./dom.js";
import { icon } from "./icons.js";
import { displayName, hue, initials } from "./identity.js";
import { fit } from "./layout.js";
import { words } from "./words.js";

/** What this person shows of themselves. */
export interface Own {
  readonly camera: MediaStreamTrack | undefined;
  readonly screen: MediaStreamTrack | undefined;
  readonly muted: boolean;
}

/** Space between tiles, in pixels; the style sheet says the same. */
const GAP = 8;

/** The field. */
export class Tiles {
  readonly element: HTMLElement;
  readonly #room: Room;
  readonly #faces = el("div", { class: "faces", role: "list", "aria-label": words.call.tiles });
  readonly #screens = el("div", { class: "screens" });
  readonly #people = new Map<number, Tile>();
  readonly #shared = new Map<string, Tile>();
  readonly #observer: ResizeObserver;

  /** `invitation` stands in the field while nobody else is there. */
  constructor(room: Room, invitation: HTMLElement) {
    this.#room = room;
    this.element = el("div", { id: "tiles", class: "tiles" }, this.#screens, this.#faces, invitation);
    this.#observer = new ResizeObserver(() => this.#layOut());
    // The outer box: the inner one changes by the layout itself.
    for (const box of [this.element, this.#faces, this.#screens]) this.#observer.observe(box, { box: "border-box" });
  }

  dispose(): void {
    this.#observer.disconnect();
    for (const tile of [...this.#people.values(), ...this.#shared.values()]) tile.dispose();
  }

  /** Makes the field show what the room is now. */
  update(own: Own): void {
    const { participants, tracks } = this.#room.state;
    const order = [...participants.filter((one) => !one.isMe), ...participants.filter((one) => one.isMe)];
    keep(this.#people, order.map((one) => one.id), (id) => new Tile(this.#room, "data-tile", id));
    for (const person of order) this.#person(person, participants, tracks, own);
    place(this.#faces, order.map((one) => this.#people.get(one.id)?.element));
    this.#screensOf(participants, tracks, own);
    this.element.toggleAttribute("data-alone", participants.length <= 1 && this.#shared.size === 0);
    this.#layOut();
  }

  /** Which of the others speak now. */
  speakers(ids: readonly number[]): void {
    for (const [id, tile] of this.#people) if (id !== this.#room.state.me) tile.speaking(ids.includes(id));
  }

  /** Whether this person speaks now. */
  ownSpeaking(speaking: boolean): void {
    const { me } = this.#room.state;
    if (me !== undefined) this.#people.get(me)?.speaking(speaking);
  }

  #person(person: Participant, all: readonly Participant[], tracks: readonly Track[], own: Own): void {
    const tile = this.#people.get(person.id);
    if (tile === undefined) return;
    const theirs = tracks.filter((track) => track.participant === person.id);
    const camera = theirs.find((track) => track.kind === "camera" && !track.muted);
    const microphone = theirs.find((track) => track.kind === "microphone");
    const muted = person.isMe ? own.muted : microphone === undefined || microphone.muted;
    tile.person(displayName(person, all), person, muted);
    if (person.isMe) tile.own(own.camera);
    else tile.remote(camera);
  }

  #screensOf(participants: readonly Participant[], tracks: readonly Track[], own: Own): void {
    const screens = tracks.filter((track) => track.kind === "screen" && !track.muted);
    const keys = [...screens.map(keyOf), ...(own.screen === undefined ? [] : ["own"])];
    const owner = (key: string): number => screens.find((track) => keyOf(track) === key)?.participant ?? this.#room.state.me ?? -1;
    keep(this.#shared, keys, (key) => new Tile(this.#room, "data-shared", owner(key)));
    for (const track of screens) {
      const person = participants.find((one) => one.id === track.participant);
      const tile = this.#shared.get(keyOf(track));
      tile?.label(words.call.screenOf(person === undefined ? "" : displayName(person, participants)));
      tile?.remote(track);
    }
    const mine = this.#shared.get("own");
    mine?.label(words.call.yourScreen);
    mine?.own(own.screen);
    place(this.#screens, keys.map((key) => this.#shared.get(key)?.element));
    this.element.toggleAttribute("data-stage", keys.length > 0);
    this.#screens.hidden = keys.length === 0;
  }

  #layOut(): void {
    for (const [field, count] of [[this.#faces, this.#people.size], [this.#screens, this.#shared.size]] as const) {
      const { columns, width, height } = fit(count, field.clientWidth, field.clientHeight, GAP);
      field.style.setProperty("--tile-width", `${width}px`);
      field.style.setProperty("--tile-height", `${height}px`);
      // Rows are kept as wide as they were counted: the rest stands beside them, and the last row in the middle.
      const row = columns * (width + GAP) - GAP;
      field.style.setProperty("--side", `${Math.max(0, Math.floor((field.clientWidth - row) / 2))}px`);
      field.toggleAttribute("data-tiny", width < 180);
    }
  }
}

/** One tile. */
class Tile {
  readonly element: HTMLElement;
  readonly #room: Room;
  readonly #avatar = el("div", { class: "avatar", "aria-hidden": "true" });
  readonly #name = el("span", { class: "tile-name" });
  readonly #muted = el("span", { class: "tile-muted", hidden: true }, icon("microphoneOff"));
  readonly #unheard = el("span", { class: "tile-unheard", hidden: true }, icon("unheard"), el("span", {}, words.call.unheard));
  #canvas: { readonly element: HTMLCanvasElement; readonly participant: number; readonly track: bigint } | undefined;
  #video: HTMLVideoElement | undefined;
  #words = "";
  #states: readonly string[] = [];

  constructor(room: Room, attribute: "data-tile" | "data-shared", id: number) {
    this.#room = room;
    const screen = attribute === "data-shared";
    this.element = el("article", { class: screen ? "tile screen" : "tile", [attribute]: id, role: screen ? "group" : "listitem" },
      screen ? undefined : this.#avatar,
      el("div", { class: "tile-foot" }, this.#muted, this.#name),
      this.#unheard,
    );
    this.element.style.setProperty("--hue", String(hue(id)));
  }

  dispose(): void {
    this.remote(undefined);
    if (this.#video !== undefined) this.#video.srcObject = null;
    this.element.remove();
  }

  /** Name and signs of a person. */
  person(name: string, person: Participant, muted: boolean): void {
    setText(this.#avatar, initials(person.name));
    this.#muted.hidden = !muted;
    this.#unheard.hidden = person.present;
    setAttribute(this.element, "data-me", person.isMe);
    setAttribute(this.element, "data-muted", muted);
    setAttribute(this.element, "data-unheard", !person.present);
    this.#states = [...(muted ? [words.call.muted] : []), ...(person.present ? [] : [words.call.unheard])];
    this.label(person.isMe ? `${name} (${words.call.you})` : name);
  }

  /** What stands at its foot. */
  label(text: string): void {
    if (this.#words !== text) {
      this.#words = text;
      this.#name.replaceChildren(foreign(text));
    }
    setAttribute(this.element, "aria-label", words.call.isHere(text, this.#states));
  }

  /** The ring. */
  speaking(speaking: boolean): void {
    setAttribute(this.element, "data-speaking", speaking);
  }

  /** Somebody else's picture. A canvas is handed over once, so each track gets its own. */
  remote(track: Track | undefined): void {
    if (this.#canvas?.track === track?.track) return;
    if (this.#canvas !== undefined) {
      this.#room.hide(this.#canvas.participant, this.#canvas.track);
      this.#canvas.element.remove();
      this.#canvas = undefined;
    }
    if (track === undefined) return;
    const element = el("canvas", { class: "picture", "aria-hidden": "true" });
    setAttribute(element, "data-upright", track.height > track.width);
    this.element.prepend(element);
    this.#canvas = { element, participant: track.participant, track: track.track };
    this.#room.show(track.participant, track.track, element);
  }

  /** One's own picture, straight from the device. */
  own(track: MediaStreamTrack | undefined): void {
    const shown = this.#video?.srcObject instanceof MediaStream ? this.#video.srcObject.getTracks()[0] : undefined;
    if (shown === track) return;
    if (track === undefined) {
      if (this.#video !== undefined) this.#video.srcObject = null;
      this.#video?.remove();
      this.#video = undefined;
      return;
    }
    if (this.#video === undefined) {
      this.#video = el("video", { class: "picture", playsinline: true, autoplay: true, "aria-hidden": "true" });
      this.#video.muted = true;
      this.#video.classList.toggle("mirrored", !this.element.classList.contains("screen"));
      this.element.prepend(this.#video);
    }
    this.#video.srcObject = new MediaStream([track]);
  }
}

/** A track's place among the screens. */
function keyOf(track: Track): string {
  return `${track.participant}:${track.track}`;
}

/** Ends tiles that are not wanted any more, and makes those that are missing. */
function keep<K>(tiles: Map<K, Tile>, wanted: readonly K[], make: (key: K) => Tile): void {
  for (const [key, tile] of tiles) {
    if (wanted.includes(key)) continue;
    tile.dispose();
    tiles.delete(key);
  }
  for (const key of wanted) if (!tiles.has(key)) tiles.set(key, make(key));
}

/** Puts elements in this order, without touching those that stand right: a moved video would begin anew. */
function place(field: HTMLElement, elements: readonly (HTMLElement | undefined)[]): void {
  let at: Element | null = field.firstElementChild;
  for (const element of elements) {
    if (element === undefined) continue;
    if (element === at) at = at.nextElementSibling;
    else field.insertBefore(element, at);
  }
}
