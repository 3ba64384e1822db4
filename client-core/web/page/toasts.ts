/** Owns short news at the edge: who came, who left, what the room warns of. Spoken, and gone after a while. */

import { el } from "./dom.js";

/** How long one is shown, in ms: long enough to be read twice. */
const SHOWN_MS = 7_000;
/** At most so many at once; a newer one takes the oldest one's place. */
const MOST = 3;

/** The place where they appear. */
export class Toasts {
  readonly element = el("div", { id: "news", class: "toasts", role: "log", "aria-live": "polite" });
  readonly #timers = new Set<number>();

  say(sentence: string, look: "news" | "message" | "trouble" = "news"): void {
    const toast = el("p", { class: `toast ${look}`, dir: "auto" }, sentence);
    this.element.append(toast);
    while (this.element.childElementCount > MOST) this.element.firstElementChild?.remove();
    const timer = window.setTimeout(() => {
      toast.remove();
      this.#timers.delete(timer);
    }, SHOWN_MS);
    this.#timers.add(timer);
  }

  /** Messages need no news once the chat is open. */
  forgetMessages(): void {
    for (const toast of this.element.querySelectorAll(".message")) toast.remove();
  }

  dispose(): void {
    for (const timer of this.#timers) window.clearTimeout(timer);
  }
}
