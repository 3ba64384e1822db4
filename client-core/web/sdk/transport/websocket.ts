/** A connection by WebSocket, for networks that let no UDP through: messages of the mux, which lives in the core. */

import type { TransportItem } from "../core.js";
import type { Sink, Transport } from "./transport.js";

/** The version of what is inside of the messages. */
const SUBPROTOCOL = "conclave.1";

/**
 * How often the browser's buffer is looked at while there is something in it, in milliseconds: it tells nobody when it
 * sinks. Shorter than a frame of sound, so that the queue in the core, where old things can still be dropped, is short.
 */
const LOOK_MS = 5;

/** Connects to `url`; rejects with a sentence when it did not work, or when `signal` ends it. */
export function connectWebSocket(url: string, signal: AbortSignal): Promise<Transport> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const socket = new WebSocket(url, SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    const abort = (): void => socket.close();
    signal.addEventListener("abort", abort, { once: true });
    // What arrives before the engine listens is kept; there is little of it, since the dialler speaks first.
    const early: ArrayBuffer[] = [];
    socket.onmessage = (event: MessageEvent<unknown>) => {
      if (event.data instanceof ArrayBuffer) {
        early.push(event.data);
      }
    };
    socket.onclose = () => {
      signal.removeEventListener("abort", abort);
      reject(new Error("the connection over TCP was refused"));
    };
    socket.onopen = () => {
      signal.removeEventListener("abort", abort);
      if (signal.aborted) {
        socket.close();
        reject(new Error("it was no longer needed"));
      } else {
        resolve(new OverWebSocket(socket, early));
      }
    };
  });
}

class OverWebSocket implements Transport {
  readonly kind = "websocket";
  readonly #socket: WebSocket;
  readonly #early: ArrayBuffer[];
  #sink!: Sink;
  #over = false;
  #handed = 0;
  #waiting: ReturnType<typeof setTimeout> | undefined;
  #since = 0;

  constructor(socket: WebSocket, early: ArrayBuffer[]) {
    this.#socket = socket;
    this.#early = early;
    socket.onclose = null;
  }

  start(sink: Sink): void {
    this.#sink = sink;
    this.#socket.onmessage = (event: MessageEvent<unknown>) => {
      if (this.#over) {
        return;
      }
      if (event.data instanceof ArrayBuffer) {
        sink.message(new Uint8Array(event.data));
      } else {
        this.close();
        sink.closed(undefined, "the relay sent what is not part of the protocol");
      }
    };
    this.#socket.onclose = (event) => this.#ended(event.reason);
    for (const bytes of this.#early.splice(0)) {
      sink.message(new Uint8Array(bytes));
    }
    if (this.#socket.readyState >= WebSocket.CLOSING) {
      queueMicrotask(() => this.#ended(""));
    }
  }

  perform(item: TransportItem): void {
    if (this.#over) {
      return;
    }
    if (item.do === "message") {
      if (this.#handed === 0) {
        this.#since = performance.now();
      }
      this.#handed += item.bytes.length;
      this.#socket.send(item.bytes as Uint8Array<ArrayBuffer>);
      this.#waiting ??= setTimeout(() => this.#look(), 0);
    } else if (item.do === "close") {
      this.close();
    }
  }

  waitingSince(): number {
    return this.#since;
  }

  /** The code and the words have gone before, as a message of the mux; the browser sends those before it closes. */
  close(): void {
    if (!this.#over) {
      this.#over = true;
      clearTimeout(this.#waiting);
      this.#socket.close();
    }
  }

  #ended(words: string): void {
    if (!this.#over) {
      this.#over = true;
      clearTimeout(this.#waiting);
      this.#sink.closed(undefined, words);
    }
  }

  /** Tells what has left the browser's buffer since the last look, and looks again while something is left. */
  #look(): void {
    this.#waiting = undefined;
    if (this.#over) {
      return;
    }
    const left = this.#handed - Math.min(this.#socket.bufferedAmount, this.#handed);
    this.#handed -= left;
    if (this.#handed > 0) {
      this.#waiting = setTimeout(() => this.#look(), LOOK_MS);
    }
    if (left > 0) {
      this.#since = this.#handed > 0 ? performance.now() : 0;
      this.#sink.messageSent(left);
    }
  }
}
