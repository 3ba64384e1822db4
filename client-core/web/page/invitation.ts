/** Owns how others are invited: the link, copied or sent by the device's own means. */

import type { Room } from "../sdk/index.js";
import { Button } from "./controls.js";
import { el, listen } from "./dom.js";
import { linkHere } from "./view.js";
import { words } from "./words.js";

/** Shown in the field of tiles while nobody else is there. */
export class Invitation {
  readonly element: HTMLElement;
  readonly #link: HTMLInputElement;

  constructor(room: Room) {
    this.#link = el("input", { id: "share-link", type: "text", readonly: true, spellcheck: "false", "aria-label": words.call.linkLabel });
    this.#link.value = linkHere(room.link);
    listen(this.#link, "focus", () => this.#link.select());
    const copy = new Button("invite-copy", { icon: "link", words: words.call.copy }, () => {
      void this.copy().then((done) => {
        if (done) copy.face({ icon: "check", words: words.call.copied });
      });
    }, "primary");
    this.element = el("section", { id: "invitation", class: "card" },
      el("h2", {}, words.call.alone),
      el("p", {}, words.call.aloneHint),
      this.#link,
      copy.element,
    );
  }

  /** Copies the link; where the browser does not let us, the link stands selected to be copied by hand. */
  async copy(): Promise<boolean> {
    try {
      await navigator.clipboard.writeText(this.#link.value);
      return true;
    } catch {
      this.#link.focus();
      this.#link.select();
      return false;
    }
  }
}
