/** Owns the chat: what was written, by whom and when, and what is not read yet. */

import type { Room } from "../sdk/index.js";
import { Notice } from "./controls.js";
import { el, foreign, listen } from "./dom.js";
import { icon } from "./icons.js";
import { hue } from "./identity.js";
import { clock, words } from "./words.js";

/** Longest message in bytes of UTF-8, as the room takes it. */
const LONGEST = 4_096;
/** So many messages are kept on the page; older ones are forgotten. */
const KEPT = 500;

/** One message. */
export interface Message {
  readonly from: number;
  readonly name: string;
  readonly mine: boolean;
  readonly text: string;
  /** Unix milliseconds. */
  readonly at: number;
}

/** The list, and the field to write in. */
export class Chat {
  readonly element: HTMLElement;
  readonly #log = el("ol", { id: "chat-log", class: "messages", role: "log", "aria-live": "polite", "aria-label": words.chat.heading, tabindex: 0 });
  readonly #empty = el("p", { class: "quiet empty" }, words.chat.empty);
  readonly #text = el("textarea", { id: "chat-text", rows: 2, dir: "auto", autocomplete: "off", enterkeyhint: "send" });
  readonly #trouble = new Notice("chat-trouble");

  /** `sent` is told what was sent: nobody sends it back to us. */
  constructor(room: Room, sent: (text: string) => void) {
    const form = el("form", { id: "chat-form", class: "write" },
      el("label", { for: "chat-text", class: "unseen" }, words.chat.text),
      this.#text,
      el("button", { id: "chat-send", type: "submit", class: "button primary" }, icon("send"), el("span", { class: "words" }, words.chat.send)),
    );
    this.element = el("div", { class: "chat" }, this.#empty, this.#log, this.#trouble.element, form);
    listen(form, "submit", (event) => {
      event.preventDefault();
      const text = this.#text.value.trim();
      if (text === "") return this.#text.focus();
      if (new TextEncoder().encode(text).length > LONGEST) return this.#trouble.say(words.chat.tooLong);
      room.chat(text);
      this.#text.value = "";
      this.#text.focus();
      sent(text);
    });
    listen(this.#text, "input", () => this.#trouble.say(undefined));
    listen(this.#text, "keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
  }

  /** Writes a message at the end, and stays at the end when it was there. */
  add(message: Message): void {
    const atEnd = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 40;
    const who = el("span", { class: "who" }, foreign(message.name));
    who.style.setProperty("--hue", String(hue(message.from)));
    this.#log.append(
      el("li", { "data-from": message.from, class: message.mine ? "mine" : undefined },
        el("div", { class: "head" }, who, el("time", { datetime: new Date(message.at).toISOString() }, clock(message.at))),
        el("p", { class: "text", dir: "auto" }, message.text),
      ),
    );
    while (this.#log.childElementCount > KEPT) this.#log.firstElementChild?.remove();
    this.#empty.hidden = true;
    if (atEnd || message.mine) this.#log.scrollTop = this.#log.scrollHeight;
  }

  /** A message that could not be sent. */
  trouble(sentence: string): void {
    this.#trouble.say(sentence);
  }

  /** To the end, and ready to write. */
  opened(): void {
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#text.focus();
  }
}
