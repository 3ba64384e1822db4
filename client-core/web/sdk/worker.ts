/** The worker of one room. Only a meeting place: loads the core, makes the engine, passes orders on. */

import { createRoom, joinRoom, loadCore, readLink, type Core, type Start } from "./core.js";
import { DialError, Dialler } from "./dial.js";
import { Engine } from "./engine.js";
import { words } from "./errors.js";
import type { Entry, FromWorker, ToWorker } from "./messages.js";

/** This scope, which TypeScript's library for pages does not describe. */
interface WorkerScope {
  postMessage(message: FromWorker): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
}

const scope = self as unknown as WorkerScope;

/** Chance for one participant, never used again. */
const SEED_BYTES = 32;

const tell = (message: FromWorker): void => scope.postMessage(message);

let engine: Engine | undefined;

/** Orders of the page before the relay's document is there: kept, and carried out in order. A page gives few. */
let early: ((engine: Engine) => void)[] = [];

function order(run: (engine: Engine) => void): void {
  if (engine === undefined) {
    early.push(run);
  } else {
    run(engine);
  }
}

async function enter(entry: Entry, player: MessagePort, make: (start: Start) => Core): Promise<void> {
  const began = entry.began - performance.timeOrigin;
  try {
    const dialler = new Dialler(entry.relay, entry.udp);
    const { relay } = await dialler.document();
    const seed = crypto.getRandomValues(new Uint8Array(SEED_BYTES));
    const core = make({ name: entry.name, relay, address: dialler.address, seed });
    engine = new Engine(core, relay, dialler, player, began, tell);
  } catch (thrown) {
    const kind = thrown instanceof DialError ? thrown.why : "link";
    tell({ from: "notEntered", kind, text: words(thrown) });
    return;
  }
  for (const run of early.splice(0)) {
    run(engine);
  }
}

scope.onmessage = (event) => {
  const message = event.data;
  switch (message.to) {
    case "load":
      loadCore(message.wasmUrl).then(
        () => tell({ from: "loaded", processor: typeof MediaStreamTrackProcessor !== "undefined" }),
        (thrown: unknown) => {
          const text = `The call's program cannot be loaded: ${words(thrown)}. Reload the page.`;
          tell({ from: "broken", kind: "browser", text });
        },
      );
      return;
    case "check":
      try {
        tell({ from: "checked", ask: message.ask, host: readLink(message.link).host });
      } catch (thrown) {
        tell({ from: "refused", ask: message.ask, kind: "link", text: words(thrown) });
      }
      return;
    case "join":
      void enter(message.entry, message.player, (start) => joinRoom(message.link, start));
      return;
    case "create":
      void enter(message.entry, message.player, (start) => createRoom(message.title, message.maxMembers, start));
      return;
    case "publish":
      order((running) => running.publish(message.order));
      return;
    case "unpublish":
      order((running) => running.unpublish(message.local));
      return;
    case "mute":
      order((running) => running.mute(message.local, message.muted));
      return;
    case "show":
      order((running) => running.show(message.participant, message.track, message.canvas, message.surface));
      return;
    case "hide":
      order((running) => running.hide(message.participant, message.track));
      return;
    case "discard":
      order((running) => running.discard(message.canvas));
      return;
    case "chat":
      order((running) => running.chat(message.text));
      return;
    case "stats":
      order((running) => tell({ from: "stats", ask: message.ask, stats: running.stats() }));
      return;
    case "leave":
      order((running) => running.leave());
      return;
  }
};
