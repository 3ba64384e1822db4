/**
 * Reaching the entry relay: its signed document first, then UDP, and TCP beside it when UDP does not answer. The whole
 * thing answers within five seconds.
 */

import { readWellKnown, type DialFailure, type WellKnown } from "./core.js";
import { words } from "./errors.js";
import { connectWebSocket } from "./transport/websocket.js";
import { connectWebTransport } from "./transport/webtransport.js";
import type { Transport } from "./transport/transport.js";

/** The relay's document is at most 4 KiB; this is room for a newer relay that has more to say. */
const DOCUMENT_BYTES = 8 * 1024;

/** How long the document may take, in milliseconds. */
const DOCUMENT_MS = 2_000;

/** How much earlier than TCP UDP begins, in milliseconds: a handshake over a bad line, and still no long wait without it. */
const HEAD_START_MS = 1_500;

/** When a dial has come to nothing, in milliseconds from its beginning. */
const DIAL_MS = 5_000;

/** Why the relay was not reached; `message` is a sentence. */
export class DialError extends Error {
  readonly why: DialFailure;

  constructor(why: DialFailure, message: string) {
    super(message);
    this.name = "DialError";
    this.why = why;
  }
}

/** One relay to enter by, and whether UDP may be tried. Remembers the relay's last document. */
export class Dialler {
  readonly #origin: URL;
  readonly #udp: boolean;
  #document: string | undefined;

  /** Throws a `DialError` when `origin` is no origin of a relay. */
  constructor(origin: string, udp: boolean) {
    const url = URL.canParse(origin) ? new URL(origin) : undefined;
    if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:")) {
      throw new DialError("unknown-name", "The relay's address is not one: it looks like https://relay.example.org.");
    }
    this.#origin = url;
    this.#udp = udp;
  }

  /** `host:port` as dialled. */
  get address(): string {
    const port = this.#origin.port !== "" ? this.#origin.port : this.#origin.protocol === "https:" ? "443" : "80";
    return `${this.#origin.hostname}:${port}`;
  }

  /**
   * The relay's signed document, fetched anew: certificates change every few days. When it cannot be fetched now, the
   * last one is used again, as long as it holds.
   */
  async document(): Promise<WellKnown> {
    let json: string;
    try {
      json = await fetchDocument(new URL("/.well-known/conclave", this.#origin));
    } catch (thrown) {
      if (this.#document === undefined || (thrown instanceof DialError && thrown.why !== "unreachable")) {
        throw thrown;
      }
      json = this.#document;
    }
    try {
      const known = readWellKnown(json);
      this.#document = json;
      return known;
    } catch (thrown) {
      throw new DialError("not-conclave", `${this.#origin.host} does not prove to be a relay: ${words(thrown)}`);
    }
  }

  /** A connection to the relay whose key is `relay` (64 hex digits); rejects with a `DialError`. */
  async connect(relay: string): Promise<Transport> {
    const all = new AbortController();
    const deadline = setTimeout(() => all.abort(), DIAL_MS);
    try {
      const known = await this.document();
      if (known.relay !== relay) {
        throw new DialError("wrong-key", `${this.#origin.host} is another relay than before.`);
      }
      return await this.#race(known.certificateHashes, all.signal);
    } finally {
      clearTimeout(deadline);
    }
  }

  /** The first of both to be open; the other is closed, also when it opens later. */
  #race(hashes: readonly Uint8Array[], signal: AbortSignal): Promise<Transport> {
    const losers = new AbortController();
    const either = AbortSignal.any([signal, losers.signal]);
    return new Promise((resolve, reject) => {
      let won = false;
      let running = 0;
      let tcpBegan = false;
      const enter = (attempt: Promise<Transport>): void => {
        running += 1;
        attempt.then(
          (transport) => {
            if (won) {
              transport.close(0, "");
            } else {
              won = true;
              clearTimeout(headStart);
              resolve(transport);
              losers.abort();
            }
          },
          () => {
            running -= 1;
            tcp();
            if (running === 0 && !won) {
              clearTimeout(headStart);
              reject(new DialError("unreachable", `The relay ${this.#origin.host} does not answer, neither by UDP nor by TCP.`));
            }
          },
        );
      };
      const tcp = (): void => {
        if (!tcpBegan && !won) {
          tcpBegan = true;
          enter(connectWebSocket(this.#url(this.#origin.protocol === "http:" ? "ws:" : "wss:"), either));
        }
      };
      const headStart = setTimeout(tcp, HEAD_START_MS);
      if (this.#udp && typeof WebTransport !== "undefined") {
        enter(connectWebTransport(this.#url("https:"), hashes, either));
      } else {
        clearTimeout(headStart);
        tcp();
      }
    });
  }

  #url(protocol: string): string {
    return `${protocol}//${this.address}/conclave/1`;
  }
}

async function fetchDocument(url: URL): Promise<string> {
  let answer: Response;
  try {
    answer = await fetch(url, { cache: "no-store", credentials: "omit", redirect: "error", signal: AbortSignal.timeout(DOCUMENT_MS) });
  } catch {
    throw new DialError("unreachable", `The relay ${url.host} does not answer. Check the connection, then try again.`);
  }
  if (!answer.ok || answer.body === null) {
    throw new DialError("not-conclave", `${url.host} is there, but it is no relay of a call: it has no document of one.`);
  }
  return bounded(answer.body, url.host);
}

/** The body as text, read no further than a document may be long. */
async function bounded(body: ReadableStream<Uint8Array>, host: string): Promise<string> {
  const reader = body.getReader();
  const bytes = new Uint8Array(DOCUMENT_BYTES);
  let length = 0;
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) {
        return new TextDecoder().decode(bytes.subarray(0, length));
      }
      if (length + value.length > DOCUMENT_BYTES) {
        await reader.cancel();
        throw new DialError("not-conclave", `${host} is no relay of a call: its document is too long for one.`);
      }
      bytes.set(value, length);
      length += value.length;
    }
  } catch (thrown) {
    throw thrown instanceof DialError
      ? thrown
      : new DialError("unreachable", `The relay ${host} stopped in the middle of its answer. Try again.`);
  }
}
