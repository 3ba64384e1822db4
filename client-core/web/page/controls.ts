/**
 * Owns the buttons: each has words and an icon. The words say what a press does next, so there is no `aria-pressed`
 * beside them; `data-state` says how it is now, for the style and for tests.
 */

import { el, listen, setAttribute, setText } from "./dom.js";
import { icon, type IconName } from "./icons.js";

/** How a button looks now. */
export interface Face {
  readonly icon: IconName;
  readonly words: string;
  /** How that which it controls is now; left out for buttons that only do something. */
  readonly state?: "on" | "off";
}

/** A button with words and an icon, whose face can change. */
export class Button {
  readonly element: HTMLButtonElement;
  readonly #words: HTMLElement;
  #icon: SVGSVGElement;
  #name: IconName;

  constructor(id: string, face: Face, act: () => void, look = "") {
    this.#icon = icon(face.icon);
    this.#name = face.icon;
    this.#words = el("span", { class: "words" }, face.words);
    this.element = el("button", { id, type: "button", class: `button ${look}`.trim() }, this.#icon, this.#words);
    this.face(face);
    listen(this.element, "click", act);
  }

  /** Changes words, icon and state. */
  face(face: Face): void {
    if (face.icon !== this.#name) {
      const next = icon(face.icon);
      this.#icon.replaceWith(next);
      this.#icon = next;
      this.#name = face.icon;
    }
    setText(this.#words, face.words);
    setAttribute(this.element, "data-state", face.state);
  }

  /** Whether it can be pressed. */
  enable(enabled: boolean): void {
    this.element.disabled = !enabled;
  }
}

/** A sentence about something that does not work, or that should be known; spoken when it appears. */
export class Notice {
  readonly element: HTMLElement;
  readonly #words: HTMLElement;

  constructor(id: string, look: "trouble" | "hint" = "trouble") {
    this.#words = el("span", { class: "words" });
    this.element = el("p", { id, class: `notice ${look}`, role: "status", hidden: true }, icon("warning"), this.#words);
  }

  /** Shows a sentence; hides itself for none. */
  say(sentence: string | undefined): void {
    setText(this.#words, sentence ?? "");
    this.element.hidden = sentence === undefined;
  }
}
