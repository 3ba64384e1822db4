/** Owns the choice of camera and microphone, in the preview and in the call. */

import type { DeviceKind, Devices } from "./devices.js";
import { el, listen, setText } from "./dom.js";
import { words } from "./words.js";

/** Two labelled lists; `update` after every change of the devices. */
export class Pickers {
  readonly element: HTMLElement;
  readonly #devices: Devices;
  readonly #lists: Readonly<Record<DeviceKind, HTMLSelectElement>>;
  readonly #rows: Readonly<Record<DeviceKind, HTMLElement>>;

  /** `prefix` keeps the ids of two places apart. */
  constructor(prefix: string, devices: Devices) {
    this.#devices = devices;
    this.#lists = { camera: el("select", { id: `${prefix}-camera` }), microphone: el("select", { id: `${prefix}-microphone` }) };
    const row = (kind: DeviceKind): HTMLElement =>
      el("div", { class: "field" }, el("label", { for: `${prefix}-${kind}` }, words.preview[kind]), this.#lists[kind]);
    this.#rows = { camera: row("camera"), microphone: row("microphone") };
    this.element = el("div", { class: "pickers" }, this.#rows.microphone, this.#rows.camera);
    for (const kind of ["camera", "microphone"] as const) {
      listen(this.#lists[kind], "change", () => void devices.switchOn(kind, this.#lists[kind].value));
    }
  }

  /** Lists what is plugged in now. */
  async update(): Promise<void> {
    await Promise.all([this.#list("camera"), this.#list("microphone")]);
  }

  async #list(kind: DeviceKind): Promise<void> {
    const choices = await this.#devices.choices(kind);
    const list = this.#lists[kind];
    while (list.options.length > choices.length) list.remove(list.options.length - 1);
    choices.forEach((choice, at) => {
      const option = list.options[at] ?? el("option");
      if (option.parentNode === null) list.append(option);
      option.value = choice.id;
      setText(option, choice.label);
    });
    const chosen = this.#devices.chosen(kind);
    if (chosen !== undefined && choices.some((choice) => choice.id === chosen)) list.value = chosen;
    this.#rows[kind].hidden = choices.length === 0;
  }
}
