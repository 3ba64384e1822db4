/**
 * The page: start, preview, call, and what is said when there is no call. This file owns only which of them is shown,
 * and what stands in the address bar. The fragment of a link never leaves the browser.
 *
 * Names that tests may rely on:
 *
 * | where | names |
 * |---|---|
 * | query | `?udp=off` TCP only, `?name=` filled in, `?small` camera at 320x180, `?debug` gives `window.conclave.room` |
 * | every screen | `body[data-screen=start\|preview\|call\|over]`; one `main` with `id` `start`, `preview`, `call` or `over` |
 * | start | `#title`, `#create` (to the preview), `#link`, `#open`, `#link-trouble` |
 * | preview | `#name`, `#join` (also starts a call), `#back`, `#preview-mute`, `#preview-camera` (both `data-state=on\|off`), |
 * | | `#choose-camera`, `#choose-microphone`, `#level[data-level=0..1]`, `#camera-trouble`, `#microphone-trouble`, `#join-trouble`, `#progress` |
 * | call | `#mute`, `#camera` (both `data-state=on\|off`), `#share` (`data-state=on` while sharing), `#leave`, `#copy-link`, `#hear` |
 * | tiles | `[data-tile="<participant id>"]` with `canvas` (others, while their camera is on) or `video` (own); `data-me`, `data-muted`, |
 * | | `data-unheard`, `data-speaking` where it is so; `.tile-name`; screens are `[data-shared="<participant id>"]` |
 * | chat | `#open-chat`, then `#chat-text`, `#chat-send`; `#chat-log li[data-from="<id>"] .text`; `#chat-unread` |
 * | panels | `#open-people`, `#open-code`, `#open-carriers`, `#open-devices`; what is in them is kept up to date also while they are closed: |
 * | | `#people[data-count]` with `li[data-person="<id>"]`, `#code[data-code="ddddd ddddd …"]`, |
 * | | `#carriers[data-count]` with `li[data-relay][data-hub][data-entry]` |
 * | state | `#call[data-connection=connecting\|connected\|reconnecting\|controlLost\|sendingStopped]`, `#connection` (sentence), |
 * | | `#transport[data-transport=webtransport\|websocket]` (a sentence, visible, on TCP), `#call-trouble`, `#alarm`, `#news` |
 * | over | `#over[data-kind]`: `left`, `unsupported`, or the SDK's kind; `#over-text`, `#again`, `#home` |
 */

import { callView } from "./call.js";
import { overView } from "./over.js";
import { previewView } from "./preview.js";
import { readQuery } from "./query.js";
import { startView } from "./start.js";
import { missing } from "./support.js";
import { fragment, linkHere, type Entered, type Goal, type Over, type Page, type View } from "./view.js";
import { words } from "./words.js";

class App implements Page {
  readonly query = readQuery(location.search);
  name = this.query.name;
  #view: View | undefined;

  /** Shows what the address bar says. */
  route(): void {
    const lacking = missing();
    if (lacking !== undefined) {
      this.over({ heading: words.support.heading, text: lacking, kind: "unsupported" });
    } else if (location.hash.length > 1) {
      this.preview({ kind: "join", link: linkHere(location.hash) });
    } else {
      this.#address("/");
      this.#show("start", startView(this));
    }
  }

  start(): void {
    this.#address("/");
    this.#show("start", startView(this));
  }

  preview(goal: Goal): void {
    this.#address(goal.kind === "join" ? `/r${fragment(goal.link)}` : "/");
    this.#show("preview", previewView(this, goal));
  }

  call(entered: Entered): void {
    const here = `/r${location.search}${fragment(entered.room.link)}`;
    history.replaceState(null, "", here);
    this.#show("call", callView(this, entered));
  }

  over(over: Over): void {
    this.#show("over", overView(this, over));
  }

  /** A step in the browser's history, with the switches of the query kept; none when we are there already. */
  #address(pathAndFragment: string): void {
    const [path = "/", hash] = pathAndFragment.split("#", 2);
    const next = `${path}${location.search}${hash === undefined ? "" : `#${hash}`}`;
    if (next !== `${location.pathname}${location.search}${location.hash}`) history.pushState(null, "", next);
  }

  #show(screen: string, view: View): void {
    const before = this.#view;
    this.#view = view;
    before?.dispose();
    document.body.dataset["screen"] = screen;
    document.body.replaceChildren(view.element);
    if (screen !== "call") document.title = words.name;
    const first = view.element.querySelector<HTMLElement>(screen === "preview" ? "#name" : "h1");
    first?.focus({ preventScroll: true });
  }
}

const app = new App();
addEventListener("popstate", () => app.route());
app.route();
