/** Owns the panels beside the tiles: one is open at a time, Escape closes it, and the focus goes there and back. */

import type { Button } from "./controls.js";
import { Button as PlainButton } from "./controls.js";
import { el, listen, setAttribute, setText } from "./dom.js";
import { words } from "./words.js";

/** One panel and the button that opens it. */
interface Panel {
  readonly element: HTMLElement;
  readonly heading: HTMLElement;
  readonly button: Button;
  readonly opened: (() => void) | undefined;
}

/** All of them. */
export class Panels {
  readonly element = el("div", { id: "panels", class: "panels", hidden: true });
  readonly #panels = new Map<string, Panel>();
  #open: string | undefined;

  constructor() {
    listen(this.element, "keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
  }

  /** `button` opens and closes it; `opened` is called when it is shown. */
  add(name: string, title: string, content: HTMLElement, button: Button, opened?: () => void): void {
    const heading = el("h2", { id: `${name}-heading`, tabindex: -1 }, title);
    const close = new PlainButton(`${name}-close`, { icon: "close", words: words.call.close }, () => this.close(), "plain");
    const element = el("section", { id: `${name}-panel`, class: "panel", "aria-labelledby": `${name}-heading`, hidden: true },
      el("header", {}, heading, close.element),
      content,
    );
    setAttribute(button.element, "aria-expanded", "false");
    setAttribute(button.element, "aria-controls", `${name}-panel`);
    listen(button.element, "click", () => (this.#open === name ? this.close() : this.open(name)));
    this.#panels.set(name, { element, heading, button, opened });
    this.element.append(element);
  }

  isOpen(name: string): boolean {
    return this.#open === name;
  }

  title(name: string, title: string): void {
    const panel = this.#panels.get(name);
    if (panel !== undefined) setText(panel.heading, title);
  }

  open(name: string): void {
    for (const [other, panel] of this.#panels) {
      panel.element.hidden = other !== name;
      setAttribute(panel.button.element, "aria-expanded", String(other === name));
    }
    this.#open = name;
    this.element.hidden = false;
    const panel = this.#panels.get(name);
    panel?.heading.focus();
    panel?.opened?.();
  }

  close(): void {
    const panel = this.#open === undefined ? undefined : this.#panels.get(this.#open);
    this.#open = undefined;
    this.element.hidden = true;
    if (panel === undefined) return;
    panel.element.hidden = true;
    setAttribute(panel.button.element, "aria-expanded", "false");
    panel.button.element.focus();
  }
}
