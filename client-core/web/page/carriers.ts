/** Owns the list of the operators that carry the call, in plain words. */

import type { Carrier, Room } from "../sdk/index.js";
import { el, foreign } from "./dom.js";
import { icon } from "./icons.js";
import { words } from "./words.js";

/** The list. */
export class Carriers {
  readonly element: HTMLElement;
  readonly #list = el("ul", { id: "carriers", class: "list", "data-count": 0 });
  readonly #none = el("p", { class: "quiet" }, words.carriers.none);
  #shown = "";

  constructor() {
    this.element = el("div", {},
      el("p", {}, words.carriers.promise),
      this.#none,
      this.#list,
      el("p", { class: "quiet small" }, words.carriers.address),
    );
  }

  update(room: Room): void {
    const { carriers } = room.state;
    const shown = JSON.stringify(carriers);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#none.hidden = carriers.length > 0;
    this.#list.dataset["count"] = String(carriers.length);
    this.#list.replaceChildren(...carriers.map(row));
  }
}

function row(carrier: Carrier): HTMLElement {
  const roles = [
    ...(carrier.entry ? [words.carriers.entry] : []),
    ...(carrier.hub ? [words.carriers.hub] : []),
    ...(carrier.publishers > 0 ? [words.carriers.brings(carrier.publishers)] : []),
  ];
  return el("li", { "data-relay": carrier.relay, "data-hub": carrier.hub, "data-entry": carrier.entry },
    el("span", { class: "row-icon" }, icon("route")),
    el("div", { class: "row-words" },
      el("span", { class: "row-name" }, foreign(carrier.operator ?? words.carriers.unnamed)),
      el("span", { class: "small" }, roles.join(", ")),
      el("span", { class: "quiet small mono" }, foreign(carrier.address ?? words.carriers.relay(carrier.relay))),
    ),
  );
}
