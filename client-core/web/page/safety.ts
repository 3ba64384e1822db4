/** Owns the thirty digits that people compare. */

import type { Room } from "../sdk/index.js";
import { el, setAttribute, setText } from "./dom.js";
import { words } from "./words.js";

/** The code in six groups of five, and how to compare it. */
export class Safety {
  readonly element: HTMLElement;
  readonly #code = el("p", { id: "code", class: "code", dir: "ltr" });
  readonly #none = el("p", { class: "quiet" }, words.safety.none);

  constructor() {
    this.element = el("div", {}, this.#none, this.#code,
      el("p", {}, words.safety.how),
      el("p", { class: "quiet small" }, words.safety.changes),
    );
  }

  update(room: Room): void {
    const groups = room.state.safetyCode.replace(/\D/g, "").match(/\d{5}/g) ?? [];
    this.#none.hidden = groups.length > 0;
    this.#code.hidden = groups.length === 0;
    setAttribute(this.#code, "data-code", groups.join(" "));
    while (this.#code.childElementCount > groups.length) this.#code.lastElementChild?.remove();
    groups.forEach((group, at) => {
      const span = this.#code.children[at] ?? this.#code.appendChild(el("span"));
      // The space is for those who copy the code, and for screen readers.
      setText(span, at < groups.length - 1 ? `${group} ` : group);
    });
  }
}
