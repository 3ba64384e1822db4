/** Owns the preview: who I am, how I look and sound, and the way in. Nothing is sent before it is pressed. */

import { check, Room } from "../sdk/index.js";
import { Button, Notice } from "./controls.js";
import { cameraSize, Devices, type DeviceKind } from "./devices.js";
import { el, listen, setText } from "./dom.js";
import { failure } from "./failures.js";
import { icon } from "./icons.js";
import { initials } from "./identity.js";
import { Meter } from "./meter.js";
import { Pickers } from "./pickers.js";
import type { Goal, Page, View } from "./view.js";
import { words } from "./words.js";

/** As many characters as a name is shown with; the room cuts it at 64 bytes. */
const LONGEST_NAME = 60;
/** After so long without a sound we ask whether it is the right microphone, in ms. */
const QUIET_AFTER_MS = 8_000;
/** After so long we say that it can take a while, in ms. */
const WAITING_AFTER_MS = 3_000;

/** The screen before the call. */
export function previewView(page: Page, goal: Goal): View {
  const preview = new Preview(page, goal);
  return { element: preview.element, dispose: () => preview.dispose() };
}

class Preview {
  readonly element: HTMLElement;
  readonly #page: Page;
  readonly #goal: Goal;
  readonly #devices: Devices;
  readonly #video = el("video", { class: "picture mirrored", muted: true, playsinline: true, autoplay: true, hidden: true });
  readonly #avatar = el("div", { class: "avatar", "aria-hidden": "true" }, "?");
  readonly #level = el("span", { class: "level-bar" });
  readonly #meterRow: HTMLElement;
  readonly #quiet = new Notice("quiet", "hint");
  readonly #cameraTrouble = new Notice("camera-trouble");
  readonly #microphoneTrouble = new Notice("microphone-trouble");
  readonly #failed = new Notice("join-trouble");
  readonly #progress = el("p", { id: "progress", class: "quiet", role: "status" });
  readonly #microphone: Button;
  readonly #camera: Button;
  readonly #pickers: Pickers;
  readonly #name: HTMLInputElement;
  readonly #join: HTMLButtonElement;
  readonly #joinWords: HTMLElement;
  readonly #cancel: Button;
  #meter: { readonly track: MediaStreamTrack; readonly meter: Meter } | undefined;
  #quietSince = performance.now();
  /** Counts attempts: the answer to one that was given up is not taken. */
  #attempt = 0;
  #entered = false;
  #waiting: number | undefined;

  constructor(page: Page, goal: Goal) {
    this.#page = page;
    this.#goal = goal;
    this.#devices = new Devices(cameraSize(page.query.small));
    this.#devices.changed = () => this.#update();
    this.#video.muted = true;
    this.#microphone = new Button("preview-mute", { icon: "microphone", words: "" }, () => this.#toggle("microphone"));
    this.#camera = new Button("preview-camera", { icon: "camera", words: "" }, () => this.#toggle("camera"));
    this.#pickers = new Pickers("choose", this.#devices);
    this.#name = el("input", {
      id: "name", name: "name", type: "text", required: true, maxlength: LONGEST_NAME, autocomplete: "off", dir: "auto",
      "aria-describedby": "name-hint join-trouble",
    });
    this.#name.value = page.name;
    this.#joinWords = el("span", { class: "words" });
    this.#join = el("button", { id: "join", type: "submit", class: "button primary wide" }, icon("check"), this.#joinWords);
    this.#cancel = new Button("back", { icon: "close", words: words.preview.back }, () => this.#back(), "wide");
    this.#meterRow = el("div", { id: "level", class: "level", "data-level": 0 }, icon("microphone"), el("span", { class: "level-track", "aria-hidden": "true" }, this.#level));

    const form = el("form", { id: "join-form", class: "card", novalidate: true },
      el("label", { for: "name" }, words.preview.name),
      this.#name,
      el("p", { id: "name-hint", class: "quiet small" }, words.preview.nameHint),
      this.#failed.element,
      this.#join,
      this.#cancel.element,
      this.#progress,
    );
    listen(form, "submit", (event) => {
      event.preventDefault();
      void this.#enter();
    });
    listen(this.#name, "input", () => {
      page.name = this.#name.value.trim();
      this.#failed.say(undefined);
      this.#update();
    });

    const where = el("p", { id: "where", class: "quiet small", hidden: true });
    if (goal.kind === "join") {
      void check(goal.link).then(({ host }) => {
        if (host === location.host) return;
        setText(where, words.preview.where(host));
        where.hidden = false;
      }, (error: unknown) => {
        const { text, kind } = failure(error);
        page.over({ heading: words.ended.badLink, text, kind });
      });
    }

    this.element = el("main", { id: "preview", class: "page preview" },
      el("header", { class: "brand" }, icon("mark"), el("span", {}, words.name)),
      el("h1", { tabindex: -1 }, goal.kind === "join" ? words.preview.headingJoin : words.preview.headingCreate),
      el("p", { class: "lead" }, words.preview.private),
      where,
      el("div", { class: "columns" },
        el("section", { class: "mirror", "aria-label": `${words.preview.camera}, ${words.preview.microphone}` },
          el("div", { class: "frame" }, this.#avatar, this.#video),
          el("div", { class: "toggles" }, this.#microphone.element, this.#camera.element),
          this.#meterRow,
          this.#quiet.element,
          this.#microphoneTrouble.element,
          this.#cameraTrouble.element,
          this.#pickers.element,
        ),
        form,
      ),
    );
    this.#ready();
    this.#update();
    void this.#devices.switchOnBoth();
  }

  dispose(): void {
    this.#attempt += 1;
    window.clearTimeout(this.#waiting);
    this.#meter?.meter.close();
    this.#meter = undefined;
    this.#video.srcObject = null;
    if (!this.#entered) this.#devices.close();
  }

  #toggle(kind: DeviceKind): void {
    if (this.#devices.track(kind) === undefined) void this.#devices.switchOn(kind);
    else this.#devices.switchOff(kind);
  }

  #update(): void {
    const camera = this.#devices.track("camera");
    const microphone = this.#devices.track("microphone");
    const { call } = words;
    this.#camera.face(camera === undefined
      ? { icon: "cameraOff", words: call.cameraOn, state: "off" }
      : { icon: "camera", words: call.cameraOff, state: "on" });
    this.#microphone.face(microphone === undefined
      ? { icon: "microphoneOff", words: call.unmute, state: "off" }
      : { icon: "microphone", words: call.mute, state: "on" });
    this.#cameraTrouble.say(this.#devices.trouble("camera"));
    this.#microphoneTrouble.say(this.#devices.trouble("microphone"));
    this.#video.hidden = camera === undefined;
    const shown = this.#video.srcObject instanceof MediaStream ? this.#video.srcObject.getTracks()[0] : undefined;
    if (shown !== camera) this.#video.srcObject = camera === undefined ? null : new MediaStream([camera]);
    setText(this.#avatar, initials(this.#name.value));
    this.#listen(microphone);
    void this.#pickers.update();
  }

  #listen(track: MediaStreamTrack | undefined): void {
    if (this.#meter?.track !== track) {
      this.#meter?.meter.close();
      this.#meter = undefined;
      this.#quiet.say(undefined);
      this.#quietSince = performance.now();
      if (track !== undefined) this.#meter = { track, meter: new Meter(track, (level) => this.#heard(level)) };
    }
    this.#meterRow.hidden = track === undefined;
  }

  #heard(level: number): void {
    this.#level.style.setProperty("--level", level.toFixed(2));
    this.#meterRow.dataset["level"] = level.toFixed(2);
    if (level > 0.05 || this.#meter?.meter.running !== true) {
      this.#quietSince = performance.now();
      this.#quiet.say(undefined);
    } else if (performance.now() - this.#quietSince > QUIET_AFTER_MS) {
      this.#quiet.say(words.preview.quiet);
    }
  }

  #ready(): void {
    window.clearTimeout(this.#waiting);
    setText(this.#joinWords, this.#goal.kind === "join" ? words.preview.join : words.preview.create);
    setText(this.#progress, "");
    this.#join.disabled = false;
    this.#name.disabled = false;
    this.#cancel.face({ icon: "close", words: words.preview.back });
    this.element.removeAttribute("aria-busy");
  }

  #back(): void {
    if (!this.#join.disabled) return this.#page.start();
    this.#attempt += 1;
    this.#ready();
    this.#join.focus();
  }

  async #enter(): Promise<void> {
    const name = this.#name.value.trim();
    if (name === "") {
      this.#failed.say(words.preview.noName);
      this.#name.focus();
      return;
    }
    const joins = this.#goal.kind === "join";
    this.#attempt += 1;
    const attempt = this.#attempt;
    this.#failed.say(undefined);
    this.#join.disabled = true;
    this.#name.disabled = true;
    this.element.setAttribute("aria-busy", "true");
    setText(this.#joinWords, joins ? words.preview.joining : words.preview.creating);
    this.#cancel.face({ icon: "close", words: words.preview.cancel });
    this.#waiting = window.setTimeout(() => setText(this.#progress, joins ? words.preview.waiting : ""), WAITING_AFTER_MS);
    try {
      const options = { name, udp: this.#page.query.udp };
      const room = this.#goal.kind === "join"
        ? await Room.join(this.#goal.link, options)
        : await Room.create({ ...options, ...(this.#goal.title === "" ? {} : { title: this.#goal.title }) });
      if (attempt !== this.#attempt) {
        void room.leave();
        return;
      }
      this.#entered = true;
      this.#page.call({ room, devices: this.#devices, name });
    } catch (error) {
      if (attempt !== this.#attempt) return;
      this.#ready();
      this.#failed.say(failure(error).text);
      this.#join.focus();
    }
  }
}
