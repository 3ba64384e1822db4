/** Owns the list of who is here. It is the encryption group itself, so it is complete. */

import type { Participant, Room } from "../sdk/index.js";
import { el, foreign, listen, setAttribute, setText } from "./dom.js";
import { icon } from "./icons.js";
import { displayName, hue, initials } from "./identity.js";
import { words } from "./words.js";

/** One line of the list. */
interface Row {
  readonly element: HTMLElement;
  readonly avatar: HTMLElement;
  readonly name: HTMLElement;
  readonly signs: HTMLElement;
  readonly volume: HTMLInputElement | undefined;
}

/** The list. */
export class People {
  readonly element: HTMLElement;
  readonly #room: Room;
  readonly #list = el("ul", { id: "people", class: "list", "data-count": 0 });
  readonly #rows = new Map<number, Row>();

  constructor(room: Room) {
    this.#room = room;
    this.element = el("div", {}, el("p", { class: "quiet" }, words.people.complete), this.#list);
  }

  /** Makes the list what the room is now. */
  update(ownMuted: boolean): void {
    const { participants, tracks } = this.#room.state;
    for (const [id, row] of this.#rows) {
      if (participants.some((one) => one.id === id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
    for (const person of participants) {
      const microphone = tracks.find((track) => track.participant === person.id && track.kind === "microphone");
      this.#show(person, participants, person.isMe ? ownMuted : microphone === undefined || microphone.muted);
    }
    setAttribute(this.#list, "data-count", participants.length);
  }

  #show(person: Participant, all: readonly Participant[], muted: boolean): void {
    const row = this.#rows.get(person.id) ?? this.#add(person);
    const name = displayName(person, all);
    setText(row.avatar, initials(person.name));
    if (row.name.textContent !== name) row.name.replaceChildren(foreign(name));
    const { you } = words.call;
    const signs = [
      ...(person.isMe ? [you] : []),
      ...(person.host ? [words.people.host] : []),
      ...(person.present ? [] : [words.call.unheard]),
      muted ? words.people.microphoneOff : words.people.microphoneOn,
    ];
    setText(row.signs, signs.join(", "));
    setAttribute(row.element, "data-unheard", !person.present);
    setAttribute(row.element, "data-muted", muted);
    if (row.volume !== undefined) setAttribute(row.volume, "aria-label", words.people.volume(name));
  }

  #add(person: Participant): Row {
    const avatar = el("span", { class: "avatar small", "aria-hidden": "true" });
    avatar.style.setProperty("--hue", String(hue(person.id)));
    const name = el("span", { class: "row-name" });
    const signs = el("span", { class: "quiet small" });
    const volume = person.isMe ? undefined : el("input", { type: "range", min: 0, max: 100, step: 5, value: 100, class: "volume" });
    if (volume !== undefined) {
      listen(volume, "input", () => this.#room.setVolume(person.id, volume.valueAsNumber / 100));
    }
    const element = el("li", { "data-person": person.id }, avatar,
      el("div", { class: "row-words" }, name, signs),
      volume === undefined ? undefined : el("span", { class: "row-volume" }, icon("speaker"), volume),
    );
    const row = { element, avatar, name, signs, volume };
    this.#rows.set(person.id, row);
    this.#list.append(element);
    return row;
  }
}
