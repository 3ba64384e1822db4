/** Owns the screens that only say something: after the call, and why there is none. */

import { Button } from "./controls.js";
import { el } from "./dom.js";
import { icon } from "./icons.js";
import type { Over, Page, View } from "./view.js";
import { words } from "./words.js";

/** One sentence, and the ways on. */
export function overView(page: Page, over: Over): View {
  const { again } = over;
  const element = el("main", { id: "over", class: "page over", "data-kind": over.kind },
    el("header", { class: "brand" }, icon("mark"), el("span", {}, words.name)),
    el("h1", { tabindex: -1 }, over.heading),
    el("p", { id: "over-text", class: "lead", role: "status" }, over.text),
    el("div", { class: "toggles" },
      again === undefined
        ? undefined
        : new Button("again", { icon: "camera", words: again.words }, () => page.preview(again.goal), "primary").element,
      over.kind === "unsupported" ? undefined : new Button("home", { icon: "mark", words: words.ended.home }, () => page.start()).element,
    ),
  );
  return { element, dispose: () => undefined };
}
