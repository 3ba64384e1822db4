/** The worker as the page sees it: started, loaded, asked, ended. One worker serves one room. */

import { RoomError, words } from "./errors.js";
import type { FromWorker, ToWorker } from "./messages.js";
import type { Options, RoomStats } from "./types.js";

/** How long the core may take to load, in milliseconds: a slow phone on a slow line, and then a sentence. */
const LOADING_MS = 60_000;

/** How long a worker whose room is over goes on, in milliseconds, so that the connection is closed in good order. */
const RETIRING_MS = 1_000;

/** A question that the worker answers once. */
interface Asked {
  readonly resolve: (message: FromWorker) => void;
  readonly reject: (error: RoomError) => void;
}

type Urls = Pick<Options, "workerUrl" | "wasmUrl">;

/**
 * A worker without a room: `check` has loaded the core (more than a megabyte), and a `join` that follows would load it
 * again. At most one is kept, and the next room takes it.
 */
let kept: { readonly key: string; readonly labour: Promise<Labour> } | undefined;

/** A worker with the core loaded, for a room: the one that was kept, or a new one. */
export function takeWorker(urls: Urls): Promise<Labour> {
  const found = kept;
  if (found?.key === keyOf(urls)) {
    kept = undefined;
    return found.labour;
  }
  return Labour.start(urls);
}

/** The worker that is kept for the next room; only to be asked. */
export function borrowWorker(urls: Urls): Promise<Labour> {
  const key = keyOf(urls);
  if (kept?.key === key) {
    return kept.labour;
  }
  kept?.labour.then(
    (labour) => labour.end(),
    () => undefined,
  );
  const labour = Labour.start(urls);
  kept = { key, labour };
  labour.catch(() => {
    if (kept?.labour === labour) {
      kept = undefined; // the next one tries again
    }
  });
  return labour;
}

function keyOf(urls: Urls): string {
  return `${String(urls.workerUrl ?? "")} ${String(urls.wasmUrl ?? "")}`;
}

/** One worker. */
export class Labour {
  readonly #worker: Worker;
  readonly #asked = new Map<number, Asked>();
  #asks = 0;
  #processor = false;
  #listener: (message: FromWorker) => void = () => undefined;
  #stats: RoomStats = NO_STATS;
  #ended = false;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  static start(urls: Urls): Promise<Labour> {
    return new Promise((resolve, reject) => {
      let worker: Worker;
      try {
        worker =
          urls.workerUrl === undefined
            ? new Worker(new URL("./worker.js", import.meta.url), { type: "module" })
            : new Worker(urls.workerUrl, { type: "module" });
      } catch (thrown) {
        reject(new RoomError("browser", `The call's worker cannot be started: ${words(thrown)}`));
        return;
      }
      const labour = new Labour(worker);
      const fail = (text: string): void => {
        clearTimeout(waited);
        labour.end();
        reject(new RoomError("browser", text));
      };
      const waited = setTimeout(
        () => fail("The call's program was not loaded within a minute. Check the connection and reload the page."),
        LOADING_MS,
      );
      worker.onerror = (event) => {
        event.preventDefault();
        fail(`The call's worker cannot be loaded${event.message ? `: ${event.message}` : ""}. Reload the page.`);
      };
      worker.onmessage = (event: MessageEvent<FromWorker>) => {
        if (event.data.from === "broken") {
          fail(event.data.text);
        } else if (event.data.from === "loaded") {
          clearTimeout(waited);
          labour.#processor = event.data.processor;
          worker.onmessage = (later: MessageEvent<FromWorker>) => labour.#hear(later.data);
          worker.onerror = (later) => labour.#broke(later.message);
          resolve(labour);
        }
      };
      labour.post(urls.wasmUrl === undefined ? { to: "load" } : { to: "load", wasmUrl: absolute(urls.wasmUrl) });
    });
  }

  /** Whether the worker itself can turn a track into frames. */
  get processor(): boolean {
    return this.#processor;
  }

  /** Hands every message that is no answer to `listener`. */
  listen(listener: (message: FromWorker) => void): void {
    this.#listener = listener;
  }

  post(message: ToWorker, transfer: readonly Transferable[] = []): void {
    if (!this.#ended) {
      this.#worker.postMessage(message, [...transfer]);
    }
  }

  async check(link: string): Promise<string> {
    const answer = await this.#ask((ask) => ({ to: "check", ask, link }));
    return answer.from === "checked" ? answer.host : "";
  }

  async stats(): Promise<RoomStats> {
    if (this.#ended) {
      return this.#stats;
    }
    const answer = await this.#ask((ask) => ({ to: "stats", ask })).catch(() => undefined);
    if (answer?.from === "stats") {
      this.#stats = answer.stats;
    }
    return this.#stats;
  }

  /** Ends the worker when it has had the time to write what it said last. */
  retire(): void {
    this.#ended = true;
    this.#refuseAll("The call has ended. Join again.");
    setTimeout(() => this.#worker.terminate(), RETIRING_MS);
  }

  /** Ends the worker now. */
  end(): void {
    this.#ended = true;
    this.#worker.terminate();
    this.#refuseAll("The call has ended. Join again.");
  }

  #ask(order: (ask: number) => ToWorker): Promise<FromWorker> {
    return new Promise((resolve, reject) => {
      const ask = (this.#asks += 1);
      this.#asked.set(ask, { resolve, reject });
      this.post(order(ask));
    });
  }

  #hear(message: FromWorker): void {
    if (message.from === "checked" || message.from === "stats" || message.from === "refused") {
      const asked = this.#asked.get(message.ask);
      this.#asked.delete(message.ask);
      if (message.from === "refused") {
        asked?.reject(new RoomError(message.kind, message.text));
      } else {
        asked?.resolve(message);
      }
      return;
    }
    this.#listener(message);
  }

  #broke(message: string): void {
    const text = `The call's worker failed${message ? `: ${message}` : ""}. Reload the page and join again.`;
    this.#refuseAll(text);
    this.#listener({ from: "broken", kind: "bug", text });
  }

  #refuseAll(text: string): void {
    for (const asked of this.#asked.values()) {
      asked.reject(new RoomError("over", text));
    }
    this.#asked.clear();
  }
}

function absolute(url: string | URL): string {
  return new URL(url, globalThis.location.href).href;
}

const NO_STATS: RoomStats = Object.freeze({
  perTrack: [],
  sending: [],
  refusedAfterFirstSecond: 0,
  audioUnderruns: 0,
  targetMs: 0,
  bufferedMs: 0,
  core: {},
});
