/** Owns the start page: begin a call, or open a link that somebody sent. */

import { check } from "../sdk/index.js";
import { Notice } from "./controls.js";
import { el, listen } from "./dom.js";
import { failure } from "./failures.js";
import { icon } from "./icons.js";
import type { Page, View } from "./view.js";
import { words } from "./words.js";

/** As many characters as the room's title may have bytes; longer ones are cut by the room. */
const LONGEST_TITLE = 100;

/** The screen at `/`. */
export function startView(page: Page): View {
  const title = el("input", { id: "title", name: "title", type: "text", maxlength: LONGEST_TITLE, autocomplete: "off", dir: "auto", "aria-describedby": "title-hint" });
  const create = el("form", { id: "create-form", class: "card" },
    el("h2", {}, words.start.call),
    el("p", { class: "quiet" }, words.start.callHint),
    el("label", { for: "title" }, words.start.title),
    title,
    el("p", { id: "title-hint", class: "quiet small" }, words.start.titleHint),
    el("button", { id: "create", type: "submit", class: "button primary wide" }, icon("camera"), el("span", { class: "words" }, words.start.create)),
  );
  listen(create, "submit", (event) => {
    event.preventDefault();
    page.preview({ kind: "create", title: title.value.trim() });
  });

  const link = el("input", { id: "link", name: "link", type: "url", autocomplete: "off", spellcheck: "false", placeholder: "https://", "aria-describedby": "link-trouble" });
  const trouble = new Notice("link-trouble");
  const join = el("form", { id: "link-form", class: "card", novalidate: true },
    el("h2", {}, words.start.join),
    el("p", { class: "quiet" }, words.start.joinHint),
    el("label", { for: "link" }, words.start.link),
    link,
    trouble.element,
    el("button", { id: "open", type: "submit", class: "button wide" }, icon("link"), el("span", { class: "words" }, words.start.open)),
  );
  listen(link, "input", () => trouble.say(undefined));
  listen(join, "submit", (event) => {
    event.preventDefault();
    const text = link.value.trim();
    if (text === "" || !text.includes("#")) {
      trouble.say(words.start.noLink);
      link.focus();
      return;
    }
    void check(text).then(
      () => page.preview({ kind: "join", link: text }),
      (error: unknown) => {
        trouble.say(failure(error).text);
        link.focus();
      },
    );
  });

  const element = el("main", { id: "start", class: "page start" },
    el("header", { class: "brand" }, icon("mark"), el("span", {}, words.name)),
    el("h1", { tabindex: -1 }, words.start.heading),
    el("p", { class: "lead" }, words.start.promise),
    el("div", { class: "cards" }, create, join),
    el("footer", { class: "quiet small" }, words.start.servedBy(location.host)),
  );
  return { element, dispose: () => undefined };
}
